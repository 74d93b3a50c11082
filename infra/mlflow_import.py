"""Imports MLflow so that it sends no telemetry and does not write to the terminal of whoever imports it."""

import logging
import os
from typing import Any


def import_mlflow() -> Any:
    """Return the package `mlflow` with the parts of it that this project uses.

    Not at the top of any file: the import takes seconds, which commands that open no store save.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    import mlflow
    import mlflow.artifacts
    import mlflow.entities
    import mlflow.system_metrics.system_metrics_monitor

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow
