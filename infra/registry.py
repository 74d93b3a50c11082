"""The registered model: its versions, the alias @champion, and which folder a reference to a model means.

A version is a logged model that keeps its weights: whoever reaches the tracking server loads it, and neither `dvc gc`
nor a lost remote takes it away.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.logged_models.log import DIGEST_TAG, holds_weights, keep_weights, log_model
from infra.logged_models.weights import FOLDER, LIST, Fetch, WeightList
from infra.mlflow_import import import_mlflow
from infra.tracking import TrackingStore

CHAMPION = "champion"
"""Alias of the version that is used until a better one is promoted."""
FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, models:/m-ID or runs:/RUN_ID/NAME"
MODEL_TAG = "logged_model"
"""Tag of a version: id of the logged model, which MLflow's own database forgets."""
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Codes of MLflow's errors where there is no such model, version, alias or run; the second, for names that none has."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    number: str
    model_id: str
    """Of the logged model that it is."""
    tags: Mapping[str, str]


class Registry:
    """Registers logged models of one tracking store, and finds models there."""

    def __init__(self, store: TrackingStore, fetch: Fetch, places: Sequence[str] = ()) -> None:
        """Say where weights may be.

        Args:
            store: Where models are logged and registered.
            fetch: Downloads files of a DVC remote.
            places: As `WeightList.places`; asked before those that a model names, which may be of another machine.
        """
        self.store = store
        self.client = store.client
        self._fetch = fetch
        self._places = places

    def version_with(self, name: str, weights: WeightList) -> Version | None:
        """Return the version of a registered model that has exactly these weights, if there is one."""
        rows = self.client.search_model_versions(f"name = '{name}'")
        return next((_version(row) for row in rows if row.tags.get(DIGEST_TAG) == weights.digest), None)

    def champion(self, name: str) -> Version | None:
        """Return the version of a registered model that has the alias @champion, if one has."""
        try:
            return _version(self.client.get_model_version_by_alias(name, CHAMPION))
        except import_mlflow().exceptions.MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise

    def logged(self, weights: WeightList) -> str | None:
        """Return the id of the newest logged model with exactly these weights, if there is one."""
        found = self.client.search_logged_models(
            [self.store.experiment_id], f"tags.`{DIGEST_TAG}` = '{weights.digest}'", max_results=1
        )
        return str(found[0].model_id) if found else None

    def log(self, folder: Path, name: str, weights: WeightList, tags: Mapping[str, str]) -> str:
        """Log a model that no run of this store has made, to a run of its own; return the id of the logged model."""
        with self.store.run(f"import {name}", tags=tags, params={}) as tracker:
            return log_model(self.client, self.store.experiment_id, tracker.run_id, folder, name, weights)

    def register(
        self, name: str, model_id: str, weights: WeightList, folder: Path, *, tags: Mapping[str, str], note: str
    ) -> Version:
        """Let a logged model keep its weights and make it a version; the same weights are registered once.

        Args:
            name: Of the registered model, which is made where there is none.
            model_id: The logged model.
            weights: Its weights.
            folder: A folder that has them.
            tags: Of the version; those of a version that is there already are replaced.
            note: Description of the version, in Markdown.

        Raises ValueError when a file of the weights is nowhere; nothing is registered then.
        """
        keep_weights(self.client, model_id, weights, [folder], self._fetch, self._places)
        tags = {**tags, DIGEST_TAG: weights.digest, MODEL_TAG: model_id}
        self._make_registered(name)
        version = self.version_with(name, weights)
        if version is None:
            model = self.client.get_logged_model(model_id)
            row = self.client.create_model_version(
                name, model.artifact_location, model.source_run_id, tags=tags, description=note, model_id=model_id
            )
            return _version(row)
        self.tag(name, version, tags)
        self.client.update_model_version(name, version.number, note)
        return replace(version, tags={**version.tags, **tags})

    def tag(self, name: str, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version of a registered model."""
        for key, value in tags.items():
            self.client.set_model_version_tag(name, version.number, key, value)

    def set_champion(self, name: str, version: Version) -> None:
        """Move the alias @champion of a registered model to a version."""
        self.client.set_registered_model_alias(name, CHAMPION, version.number)

    def resolve(self, reference: str, cache: Path) -> Path:
        """Return the folder of the model that a reference means, brought to `cache` once and compared with its hashes.

        Args:
            reference: One of `FORMS`.
            cache: Folder of folders by the digest of the weights; nobody may write into what it holds.

        Raises ValueError, naming the reference, for one of another form, for one that means no model here, for a model
        of another program or with files other than safetensors, and where a file is nowhere any more.
        """
        try:
            return self._bring(self._logged_model(reference), cache)
        except import_mlflow().exceptions.MlflowException as error:
            if error.error_code not in ABSENT:
                raise RuntimeError(f"MLflow at {self.store.uri} does not give {reference}: {_line(error)}") from error
            known = ", ".join(row.name for row in self.client.search_registered_models()) or "none"
            raise ValueError(
                f"MLflow at {self.store.uri} has no {reference} ({_line(error)}); registered models: {known}; "
                "`python -m flows promote` registers one"
            ) from error
        except ValueError as error:
            raise ValueError(f"{reference} cannot be used: {error}") from error

    def _logged_model(self, reference: str) -> Any:
        scheme, _, words = reference.partition(":")
        first, _, second = words.strip("/").partition("/")
        name, _, alias = first.partition("@")
        if scheme == "models" and alias and not second:
            return self._of_version(self.client.get_model_version_by_alias(name, alias))
        if scheme == "models" and second.isdecimal():
            return self._of_version(self.client.get_model_version(first, second))
        if scheme == "models" and first.startswith("m-") and not second:
            return self.client.get_logged_model(first)
        if scheme == "runs" and second:
            return self._of_run(first, second)
        raise ValueError(f"a model is named by a folder or as {FORMS}")

    def _of_version(self, row: Any) -> Any:
        version = _version(row)
        if not version.model_id:
            raise ValueError("that version is no logged model of this project")
        return self.client.get_logged_model(version.model_id)

    def _of_run(self, run_id: str, name: str) -> Any:
        outputs = self.client.get_run(run_id).outputs
        models = [self.client.get_logged_model(output.model_id) for output in outputs.model_outputs] if outputs else []
        found = [model for model in models if model.name == name]
        if not found:
            raise ValueError(f"the run has the models {', '.join(model.name for model in models) or 'none'}")
        return found[-1]

    def _bring(self, model: Any, cache: Path) -> Path:
        if LIST not in {entry.path for entry in self.client.list_logged_model_artifacts(model.model_id)}:
            raise ValueError(f"it is no model of this project, whose models have {LIST}")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".arriving-", dir=cache) as temporary:
            weights = WeightList.read(self._download(model, LIST, temporary))
            folder = cache / weights.digest / model.name
            if not folder.exists():
                kept = [self._kept(model, temporary)] if holds_weights(self.client, model.model_id, weights) else []
                weights.fetch(folder, kept, self._fetch, self._places)
        return folder

    def _kept(self, model: Any, temporary: str) -> Path:
        location = urlsplit(model.artifact_location)
        if location.scheme in ("file", ""):
            return Path(unquote(location.path)) / FOLDER
        return self._download(model, FOLDER, temporary)

    def _download(self, model: Any, name: str, target: str) -> Path:
        uri = f"{model.artifact_location}/{name}"
        return Path(import_mlflow().artifacts.download_artifacts(uri, dst_path=target, tracking_uri=self.store.uri))

    def _make_registered(self, name: str) -> None:
        exceptions = import_mlflow().exceptions
        try:
            self.client.create_registered_model(name)
        except exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _version(row: Any) -> Version:
    return Version(str(row.version), row.tags.get(MODEL_TAG, ""), dict(row.tags))


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
