"""A project that is moved or copied keeps its runs with their artifacts, and writes into itself alone."""

import logging
import shutil
import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking._tracking_service import utils

from infra.logged_models.weights import WeightList
from infra.registry import Registry
from infra.storage.store import RemoteStore
from infra.tracking import EXPERIMENT, TrackingStore


def log_run(root: Path, text: str) -> str:
    """A run with an artifact and a model, which both say `text`; its id."""
    source = root.parent / f"{root.name}-source"
    source.mkdir(exist_ok=True)
    (source / "said.txt").write_text(text)
    with TrackingStore(root, None).run("render", tags={}, params={}) as tracker:
        tracker.artifact(source / "said.txt")
        tracker.model(source, "stage1")
    return tracker.run_id


def said(root: Path) -> dict[str, list[str]]:
    """By run: what its artifact and its model say, read where MLflow says that they lie."""
    store = TrackingStore(root, None)
    found: dict[str, list[str]] = {}
    for run in store.client.search_runs([store.experiment_id]):
        local = store.client.download_artifacts(run.info.run_id, "said.txt")
        (output,) = run.outputs.model_outputs
        model: Any = store.client.get_logged_model(output.model_id)
        stored = Path(model.artifact_location.removeprefix("file://").replace("%20", " "))
        found[run.info.run_id] = [Path(local).read_text(), (stored / "weights/said.txt").read_text()]
    return found


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in (root / "mlruns/artifacts").rglob("*") if path.is_file()}


@pytest.mark.slow(seconds=1)
def test_moved_project_keeps_its_runs_and_logs_beside_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = log_run(tmp_path / "here", "before")
    (tmp_path / "here").rename(tmp_path / "a new place")
    with caplog.at_level(logging.WARNING, logger="infra.moved_runs"):
        second = log_run(tmp_path / "a new place", "after")
    assert "its MLflow runs now keep their files in" in caplog.text
    assert said(tmp_path / "a new place") == {first: ["before"] * 2, second: ["after"] * 2}
    assert not (tmp_path / "here").exists()
    caplog.clear()
    TrackingStore(tmp_path / "a new place", None)
    assert not caplog.records


@pytest.mark.slow(seconds=1)
def test_registered_model_moves_with_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_run(tmp_path / "here", "weights")
    store = TrackingStore(tmp_path / "here", None)
    weights = WeightList.of(tmp_path / "here-source")
    registry = Registry(store, RemoteStore(attempts=1).fetch)
    model_id = registry.logged(weights)
    assert model_id is not None
    registry.register("moved", model_id, weights, tmp_path / "here-source", tags={}, note="")
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.setattr(utils, "_artifact_repos_cache", OrderedDict())  # as in a new process
    moved = Registry(TrackingStore(tmp_path / "there", None), RemoteStore(attempts=1).fetch)
    assert (moved.resolve("models:/moved/1", tmp_path / "cache") / "said.txt").read_text() == "weights"
    address = moved.client.get_model_version_download_uri("moved", "1")
    assert address.startswith((tmp_path / "there/mlruns/artifacts").as_uri())


@pytest.mark.slow(seconds=3)
def test_copied_project_writes_into_itself_only(tmp_path: Path) -> None:
    first = log_run(tmp_path / "here", "before")
    before = files(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "copy")
    second = log_run(tmp_path / "copy", "in the copy")
    assert files(tmp_path / "here") == before
    assert said(tmp_path / "copy") == {first: ["before"] * 2, second: ["in the copy"] * 2}
    shutil.rmtree(tmp_path / "copy")
    assert said(tmp_path / "here") == {first: ["before"] * 2}


@pytest.mark.slow(seconds=2)
def test_experiments_of_others_in_the_database_stay_where_they_are(tmp_path: Path) -> None:
    store = TrackingStore(tmp_path / "here", None)
    store.client.create_experiment("mine", artifact_location=(tmp_path / "here/mlruns/artifacts/mine").as_uri())
    (tmp_path / "here").rename(tmp_path / "there")
    moved = TrackingStore(tmp_path / "there", None).client
    assert moved.get_experiment_by_name("mine").artifact_location.startswith((tmp_path / "here").as_uri())
    assert moved.get_experiment_by_name(EXPERIMENT).artifact_location == (tmp_path / "there/mlruns/artifacts").as_uri()


@pytest.mark.slow(seconds=1)
def test_locked_database_is_said_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.moved_runs.LOCKED_SECONDS", 0.1)
    TrackingStore(tmp_path, None)
    holder = sqlite3.connect(tmp_path / "mlruns/mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RuntimeError, match=r"mlflow.db refuses: database is locked; another process writes to it"):
        TrackingStore(tmp_path, None)
    holder.close()
    TrackingStore(tmp_path, None)


@pytest.mark.slow(seconds=1)
def test_torn_database_is_said_with_its_remedy(tmp_path: Path) -> None:
    TrackingStore(tmp_path, None)
    path = tmp_path / "mlruns/mlflow.db"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match=r"mlflow.db refuses: database disk image is malformed; move the file away"):
        TrackingStore(tmp_path, None)
