"""MLflow's own servers as processes: a tracking server that keeps the artifacts, and one that answers with views."""

import base64
import io
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.execution.processes import ProcessGroup
from infra.health import mlflow_error, request_error
from infra.logged_models.mlmodel import example
from infra.logged_models.weights import WeightList
from infra.registry import Registry
from infra.storage.store import RemoteStore
from infra.tracking import TrackingStore, local_uri, server_command
from models.network.noise import build_scheduler
from tests.models.toy_models import NOISE, toy_pipeline

pytestmark = [pytest.mark.nightly, pytest.mark.slow(seconds=60), pytest.mark.timeout(3600)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, log: Path, env: dict[str, str], address: str) -> Iterator[None]:
    """A server until the end of the block, which begins when it answers at `address`."""
    with log.open("w") as output, ProcessGroup(command, root=folder, env=env, output=output) as group:
        deadline = time.monotonic() + 1800
        while (mlflow_error(address) if address.count("/") == 2 else request_error(address)) is not None:
            assert group.exit_code() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(0.5)
        yield


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking server that keeps artifacts itself."""
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    command = server_command(folder, sys.executable, port, local_uri(folder))
    address = f"http://127.0.0.1:{port}"
    with running(command, folder, folder / "log", {}, address):
        yield address


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "stage3"
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(folder)
    return folder


def log(tracking: str, model: Path, place: Path) -> tuple[Registry, WeightList, str]:
    """Log the model by reference to the server."""
    store = TrackingStore(place.parent, tracking)
    with store.run("train-stage3", tags={}, params={}, places=[str(place)]) as tracker:
        tracker.model(model, "stage3")
    registry = Registry(store, RemoteStore(attempts=1).fetch)
    weights = WeightList.of(model)
    model_id = registry.logged(weights)
    assert model_id is not None
    return registry, weights, model_id


def test_version_on_a_server_has_its_weights_there_and_is_brought_from_there(
    tracking: str, model: Path, tmp_path: Path
) -> None:
    registry, weights, model_id = log(tracking, model, tmp_path / "collected")
    listed = registry.client.list_logged_model_artifacts(model_id)
    assert "weights" not in [entry.path for entry in listed], "a run sends no weights"
    registry.register("served", model_id, weights, model, tags={}, note="")
    folder = registry.resolve("models:/served/1", tmp_path / "cache")
    assert WeightList.of(folder).digest == weights.digest


def ask(address: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def test_mlflow_serves_the_champion_and_answers_with_views(tracking: str, model: Path, tmp_path: Path) -> None:
    registry, weights, model_id = log(tracking, model, tmp_path / "collected")
    registry.set_champion("drawn", registry.register("drawn", model_id, weights, model, tags={}, note=""))
    address = f"http://127.0.0.1:{(port := free_port())}"
    words = ["models", "serve", "-m", "models:/drawn@champion", "--env-manager", "local", "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "mlflow", *words, "--port", str(port)]
    env = {"MLFLOW_TRACKING_URI": tracking, "PYTHONPATH": "", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(command, tmp_path, tmp_path / "log", env, f"{address}/ping"):
        photo = example()["photo"][0]
        answer = ask(address, {"dataframe_records": [{"photo": photo, "object": "ball"}], "params": {"steps": 2}})
        views = answer["predictions"]
        assert [view["view"] for view in views] == list(range(8))
        assert {view["object"] for view in views} == {"ball"}
        assert {view["elevation_deg"] for view in views} == {0.0, 30.0}
        assert Image.open(io.BytesIO(base64.b64decode(views[0]["image"]))).mode == "RGBA"
        with pytest.raises(urllib.error.HTTPError) as failure:
            ask(address, {"dataframe_records": [{"photo": base64.b64encode(b"text").decode()}]})
        assert failure.value.code == 400
        assert "the photo of row 0 is no image that can be read" in json.load(failure.value)["message"]
