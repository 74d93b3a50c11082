"""What MLflow loads of a logged model that draws views: `mlflow.pyfunc.load_model(URI).predict(TABLE)`.

MLflow imports this module by its name, from the model's own copy of the code where the project is not installed.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from infra.logged_models.weights import FOLDER, LIST, WeightList
from infra.machine import torch_device
from infra.profile import precision_on
from infra.storage.store import RemoteStore
from models.inference.pipeline import load_pipeline
from models.inference.precision import DTYPES, tensor_float32
from models.inference.table import DrawSettings, draw_table


class ViewModel:
    """Draws views of the objects in tables of photos."""

    def __init__(self, folder: Path) -> None:
        """Load the pipeline in `folder` onto the GPU if there is one."""
        self.device = torch_device()
        self.precision = precision_on(self.device, "auto")
        self.pipeline = load_pipeline(folder, scheduler=None, device=self.device, dtype=DTYPES[self.precision])

    def predict(self, table: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a row per view; `models.inference.table.draw_table` says of what.

        Args:
            table: A row per photo, with the columns "photo" and, for several objects, "object".
            params: Fields of `DrawSettings`.

        Raises MlflowException, which MLflow's servers answer as a mistake of the request, where a photo or a setting
        cannot be used.
        """
        known = {field.name for field in fields(DrawSettings)}
        settings = DrawSettings(**{name: value for name, value in (params or {}).items() if name in known})
        cells = table.astype(object).where(table.notna(), None).to_numpy()
        rows = [dict(zip(map(str, table.columns), row, strict=True)) for row in cells]
        try:
            with tensor_float32(self.device, self.precision):
                return pd.DataFrame(draw_table(self.pipeline, rows, settings))
        except ValueError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


def _load_pyfunc(path: str) -> ViewModel:
    """Load the model in a folder that MLflow has brought; weights that it does not hold are brought first."""
    folder = Path(path)
    weights = folder / FOLDER
    if not weights.exists():
        try:
            WeightList.read(folder / LIST).fetch(weights, [], RemoteStore().fetch)
        except ValueError as error:
            raise MlflowException(f"the model at {path} cannot be loaded: {error}") from error
    return ViewModel(weights)
