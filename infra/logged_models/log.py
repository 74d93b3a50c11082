"""Logs a saved model to a run of MLflow, and keeps its weights there where that is asked for."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.logged_models.mlmodel import write_mlmodel
from infra.logged_models.weights import FOLDER, Fetch, WeightList
from infra.mlflow_import import import_mlflow

DIGEST_TAG = "weights.digest"
"""Tag of logged models and of registered versions: `WeightList.digest`."""
PIPELINE_INDEX = "model_index.json"
"""File of diffusers in the folder of a whole pipeline."""


def log_model(client: Any, experiment_id: str, run_id: str, folder: Path, name: str, weights: WeightList) -> str:
    """Log the model in `folder` to a run and return the id of the logged model.

    Its weights are listed, and stay where they are stored once; where that is nowhere (`weights.places` is empty), the
    logged model keeps them.
    """
    model = client.create_logged_model(
        experiment_id, name, source_run_id=run_id, tags={DIGEST_TAG: weights.digest}, model_type="diffusion"
    )
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary) / "model"
        draws_views = any(file.name == PIPELINE_INDEX for file in weights.files)
        write_mlmodel(staged, weights, draws_views=draws_views, run_id=run_id, model_id=model.model_id)
        client.log_model_artifacts(model.model_id, str(staged))
    if not weights.places:
        keep_weights(client, model.model_id, weights, [folder], _no_fetch)
    client.finalize_logged_model(model.model_id, "READY")
    output = import_mlflow().entities.LoggedModelOutput(model.model_id, step=0)
    client.log_outputs(run_id, [output])
    return str(model.model_id)


def keep_weights(
    client: Any,
    model_id: str,
    weights: WeightList,
    folders: Sequence[Path],
    fetch: Fetch,
    places: Sequence[str] = (),
) -> None:
    """Put the weights of a logged model beside its MLmodel, unless they are there; on one disk by hard links.

    Raises ValueError when a file of them is nowhere.
    """
    if holds_weights(client, model_id, weights):
        return
    location = urlsplit(client.get_logged_model(model_id).artifact_location)
    if location.scheme in ("file", ""):
        weights.fetch(Path(unquote(location.path)) / FOLDER, folders, fetch, places)
        return
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / FOLDER
        weights.fetch(whole, folders, fetch, places)
        client.log_model_artifacts(model_id, str(whole), FOLDER)


def holds_weights(client: Any, model_id: str, weights: WeightList) -> bool:
    """Return whether all files of the weights lie beside the MLmodel of a logged model; an upload may have broken."""
    sizes: dict[str, int] = {}
    waiting = [entry.path for entry in client.list_logged_model_artifacts(model_id) if entry.path == FOLDER]
    while waiting:
        for entry in client.list_logged_model_artifacts(model_id, waiting.pop()):
            if entry.is_dir:
                waiting.append(entry.path)
            else:
                sizes[entry.path] = entry.file_size
    return all(sizes.get(f"{FOLDER}/{file.name}") == file.size for file in weights.files)


def _no_fetch(url: str, target: Path) -> None:
    raise FileNotFoundError(f"{url} is not asked for {target}")
