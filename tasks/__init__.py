"""One file per stage: plain functions from artifacts to an artifact. Knows neither Ray, DVC, MLflow nor Prefect."""
