"""One file per stage, and packages of what stages share. Knows neither Ray, DVC, MLflow nor Prefect.

A stage is a plain function from artifacts to an artifact.
"""
