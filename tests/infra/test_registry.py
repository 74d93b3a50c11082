"""Models logged by reference, registered whole, and found again by what MLflow calls them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.logged_models.weights import LIST, WeightList
from infra.registry import Registry, Version
from infra.storage.store import RemoteStore
from infra.tracking import TrackingStore
from tests.infra.server import WebServer
from tests.small_disk import small_disk

NAME = "mvdpp"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def store(root: Path) -> TrackingStore:
    return TrackingStore(root, None)


@pytest.fixture
def registry(store: TrackingStore) -> Registry:
    return Registry(store, RemoteStore(attempts=1).fetch)


def make_model(folder: Path, text: str) -> Path:
    """The files of a network as a stage leaves them."""
    (folder / "unet").mkdir(parents=True)
    (folder / "unet/config.json").write_text("{}")
    (folder / "unet/weights.safetensors").write_bytes(text.encode() * 100)
    (folder / "unet_raw").mkdir()
    (folder / "unet_raw/weights.safetensors").write_text("newest")
    return folder


def put(model: Path, place: Path) -> Path:
    """Store the model's files by their MD5, as DVC's cache does."""
    for file in WeightList.of(model, leave_out=["unet_raw"]).files:
        target = place / file.md5[:2] / file.md5[2:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model / file.name, target)
    return place


def log(store: TrackingStore, model: Path, *places: str) -> str:
    """Log the model to a run; the run's id."""
    with store.run("train-stage3", tags={}, params={}, places=places) as tracker:
        tracker.model(model, "stage3", leave_out=["unet_raw"])
    return tracker.run_id


def model_of(store: TrackingStore, run_id: str) -> Any:
    (output,) = store.client.get_run(run_id).outputs.model_outputs
    return store.client.get_logged_model(output.model_id)


def stored(store: TrackingStore, run_id: str) -> Path:
    return Path(model_of(store, run_id).artifact_location.removeprefix("file://"))


def register(registry: Registry, model: Path, run_id: str, name: str = NAME) -> Version:
    weights = WeightList.of(model, leave_out=["unet_raw"])
    model_id = registry.logged(weights)
    assert model_id is not None
    assert model_id == model_of(registry.store, run_id).model_id
    return registry.register(name, model_id, weights, model, tags={"score": "1"}, note="better")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow(seconds=3)
def test_model_of_a_run_is_a_list_whose_files_come_from_where_they_are_stored(
    registry: Registry, store: TrackingStore, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "stage3", "first")
    run_id = log(store, model, str(put(model, tmp_path / "dvc")))
    assert sorted(path.name for path in stored(store, run_id).iterdir()) == ["MLmodel", LIST]
    shutil.rmtree(model)
    folder = registry.resolve(f"runs:/{run_id}/stage3", tmp_path / "cache")
    assert folder.name == "stage3"
    assert contents(folder) == {"unet/config.json": b"{}", "unet/weights.safetensors": b"first" * 100}
    shutil.rmtree(tmp_path / "dvc")
    assert registry.resolve(f"runs:/{run_id}/stage3", tmp_path / "cache") == folder, "it is brought once"
    assert registry.resolve(f"models:/{model_of(store, run_id).model_id}", tmp_path / "cache") == folder


@pytest.mark.slow(seconds=2)
def test_version_keeps_its_weights_and_copies_no_byte_on_one_disk(
    registry: Registry, store: TrackingStore, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "stage3", "kept")
    run_id = log(store, model, str(tmp_path / "collected"))
    version = register(registry, model, run_id)
    kept = stored(store, run_id) / "weights/unet/weights.safetensors"
    assert kept.samefile(model / "unet/weights.safetensors")
    again = register(registry, model, run_id)
    assert again.number == version.number, "the same weights are registered once"
    registry.set_champion(NAME, version)
    shutil.rmtree(model)
    number = registry.resolve(f"models:/{NAME}/{version.number}", tmp_path / "cache")
    assert registry.resolve(f"models:/{NAME}@champion", tmp_path / "cache") == number
    assert (number / "unet/weights.safetensors").read_bytes() == b"kept" * 100
    champion = registry.champion(NAME)
    assert champion is not None
    assert (champion.number, champion.tags["score"]) == (version.number, "1")
    row = store.client.get_model_version(NAME, version.number)
    assert (row.run_id, row.description) == (run_id, "better")


@pytest.mark.slow(seconds=2)
def test_model_is_fetched_from_a_remote_by_its_hashes_and_a_changed_file_is_not_taken(
    registry: Registry, store: TrackingStore, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "stage3", "remote")
    served = put(model, tmp_path / "served")
    with WebServer(served) as server:
        run_id = log(store, model, server.url)
        first = registry.resolve(f"runs:/{run_id}/stage3", tmp_path / "cache")
        assert contents(first)["unet/weights.safetensors"] == b"remote" * 100
        md5 = next(file.md5 for file in WeightList.of(model).files if file.size == 600)
        (served / md5[:2] / md5[2:]).write_bytes(b"attack" * 100)
        with pytest.raises(
            ValueError, match=rf"runs:/{run_id}/stage3 cannot be used: its file unet/weights"
        ) as failure:
            registry.resolve(f"runs:/{run_id}/stage3", tmp_path / "other")
    assert f"is not at {server.url}/{md5[:2]}/{md5[2:]}; bring it back with `dvc pull`" in str(failure.value)
    assert list((tmp_path / "other").rglob("*.safetensors")) == []


@pytest.mark.slow(seconds=1)
def test_weights_that_are_nowhere_are_not_registered(registry: Registry, store: TrackingStore, tmp_path: Path) -> None:
    model = make_model(tmp_path / "stage3", "lost")
    run_id = log(store, model, str(tmp_path / "nowhere"))
    weights = WeightList.of(model, leave_out=["unet_raw"])
    shutil.rmtree(model)
    with pytest.raises(ValueError, match=r"its file unet/config\.json with SHA-256 .* is not at"):
        registry.register("lost", model_of(store, run_id).model_id, weights, model, tags={}, note="")
    assert [row.name for row in store.client.search_registered_models("name = 'lost'")] == []
    assert not (stored(store, run_id) / "weights").exists()


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("models:/mvdpp", "models:/mvdpp cannot be used: a model is named by a folder or as models:/NAME@ALIAS"),
        ("models:/mvdpp/first", "is named by a folder or as"),
        ("runs:/0123", "is named by a folder or as"),
        (
            "models:/nobody@champion",
            "has no models:/nobody@champion .*; registered models: .*`python -m flows promote`",
        ),
        ("models:/nobody/3", "has no models:/nobody/3 "),
        ("models:/m-0123", "has no models:/m-0123 "),
        ("runs:/0123/stage3", "has no runs:/0123/stage3 "),
    ],
)
def test_reference_that_means_no_model_is_said(
    registry: Registry, tmp_path: Path, reference: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        registry.resolve(reference, tmp_path / "cache")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.slow(seconds=1)
def test_run_without_such_a_model_says_which_it_has(registry: Registry, store: TrackingStore, tmp_path: Path) -> None:
    run_id = log(store, make_model(tmp_path / "stage3", "one"))
    with pytest.raises(ValueError, match="the run has the models stage3"):
        registry.resolve(f"runs:/{run_id}/stage1", tmp_path / "cache")


@pytest.mark.slow(seconds=1)
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../../escaped.json", "the file '../../escaped.json' would lie outside of the model's folder"),
        ("/etc/escaped.json", "would lie outside"),
        (
            "unet/pytorch_model.bin",
            "has the file 'unet/pytorch_model.bin', which may run code when it is loaded; weights",
        ),
        ("unet/run.sh", "of a kind that no model has"),
    ],
)
def test_list_with_a_file_that_may_do_harm_is_refused(
    registry: Registry, store: TrackingStore, tmp_path: Path, name: str, sentence: str
) -> None:
    run_id = log(store, make_model(tmp_path / "stage3", "bad"))
    path = stored(store, run_id) / LIST
    content = json.loads(path.read_text())
    content["files"][0]["name"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence):
        registry.resolve(f"runs:/{run_id}/stage3", tmp_path / "cache")
    assert not list(tmp_path.rglob("escaped.json"))


@pytest.mark.slow(seconds=1)
@pytest.mark.parametrize(
    "left", ["", "{}", '{"files": 7, "places": []}', '{"files": [{"name": "a.json"}], "places": []}']
)
def test_torn_list_is_a_sentence(registry: Registry, store: TrackingStore, tmp_path: Path, left: str) -> None:
    run_id = log(store, make_model(tmp_path / "stage3", "torn"))
    (stored(store, run_id) / LIST).write_text(left)
    with pytest.raises(ValueError, match=r"weights.json is broken"):
        registry.resolve(f"runs:/{run_id}/stage3", tmp_path / "cache")


@pytest.mark.slow(seconds=1)
def test_model_of_another_program_is_refused(registry: Registry, store: TrackingStore, tmp_path: Path) -> None:
    with store.run("other", tags={}, params={}) as tracker:
        model = store.client.create_logged_model(store.experiment_id, "theirs", source_run_id=tracker.run_id)
        store.client.finalize_logged_model(model.model_id, "READY")
    with pytest.raises(ValueError, match=r"it is no model of this project, whose models have weights\.json"):
        registry.resolve(f"models:/{model.model_id}", tmp_path / "cache")


@pytest.mark.slow(seconds=1)
def test_full_disk_leaves_nothing_half_brought(registry: Registry, store: TrackingStore, tmp_path: Path) -> None:
    run_id = log(store, make_model(tmp_path / "stage3", "full" * 5000))
    disk = tmp_path / "disk"
    with small_disk(disk):
        with pytest.raises(OSError, match="No space left"):
            registry.resolve(f"runs:/{run_id}/stage3", disk / "cache")
        assert [path for path in disk.rglob("*") if path.is_file()] == []


@pytest.fixture(autouse=True)
def no_arrivals_are_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.rglob(".arriving-*"))
