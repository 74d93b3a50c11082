"""Models as MLflow keeps them: which files their weights are, the folder that MLflow reads, and what it loads."""
