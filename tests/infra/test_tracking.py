import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from infra.tracking import EXPERIMENT, RunTracker, TrackingStore, local_uri
from tasks.ports import Tracker


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def store(root: Path) -> TrackingStore:
    return TrackingStore(root, None)


@pytest.fixture
def tracker(store: TrackingStore) -> Iterator[RunTracker]:
    with store.run("render", tags={"stage": "render"}, params={}) as tracker:
        yield tracker


def run_of(tracker: RunTracker) -> Any:
    return tracker.client.get_run(tracker.run_id)


def test_store_by_default_lies_in_the_project(store: TrackingStore, root: Path) -> None:
    assert (root / "mlruns/mlflow.db").is_file()
    experiment = store.client.get_experiment_by_name(EXPERIMENT)
    assert experiment.artifact_location == (root / "mlruns/artifacts").as_uri()
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert TrackingStore(root, None).experiment_id == store.experiment_id


def test_run_is_told_what_the_machine_did(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.tracking.SAMPLING_SECONDS", 0.1)
    before = set(threading.enumerate())
    with TrackingStore(root, None).run("train", tags={}, params={}) as tracker:
        deadline = time.monotonic() + 600
        while "system/cpu_utilization_percentage" not in run_of(tracker).data.metrics and time.monotonic() < deadline:
            time.sleep(0.1)
    found = {name for name in run_of(tracker).data.metrics if name.startswith("system/")}
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= found
    assert not [thread for thread in set(threading.enumerate()) - before if "SystemMetrics" in thread.name]


def test_run_keeps_tags_and_params_of_every_kind(store: TrackingStore) -> None:
    params: dict[str, object] = {
        "render.elevations_deg": [-30, 0],
        "encode.image_encoder.pretrained": None,
        "catalog.source": "procedural",
    }
    params |= {f"many.{index}": index for index in range(250)}
    with store.run("encode", tags={"stage": "encode", "dvc.run_key": "abc"}, params=params) as tracker:
        pass
    run = run_of(tracker)
    assert run.data.tags["dvc.run_key"] == "abc"
    assert run.data.params["render.elevations_deg"] == "[-30, 0]"
    assert run.data.params["encode.image_encoder.pretrained"] == "null"
    assert run.data.params["catalog.source"] == "procedural"
    assert len(run.data.params) == 253


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_run_that_breaks_says_how_it_ended(store: TrackingStore, error: type[BaseException], status: str) -> None:
    trackers = []

    def work() -> None:
        with store.run("render", tags={}, params={}) as tracker, tracker.part("hull", {}) as part:
            for one in (tracker, part):
                trackers.append(one)
                one.metrics({"loss": 1.0})
            raise error

    with pytest.raises(error):
        work()
    for tracker in trackers:
        assert run_of(tracker).info.status == status
        assert run_of(tracker).data.metrics == {"loss": 1.0}


def test_end_of_a_run_that_ended_leaves_it(store: TrackingStore) -> None:
    with store.run("render", tags={}, params={}) as tracker:
        pass
    store.end(tracker.run_id, "KILLED")
    assert run_of(tracker).info.status == "FINISHED"


def test_metrics_keep_every_step_and_not_a_number(store: TrackingStore) -> None:
    with store.run("train", tags={}, params={}) as tracker:
        for step in range(450):
            tracker.metrics({"train/loss": 1 / (step + 1)}, step)
        tracker.metrics({"train/grad_norm": math.nan}, 3)
    history = store.client.get_metric_history(tracker.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(step, 1 / (step + 1)) for step in range(450)]
    assert math.isnan(run_of(tracker).data.metrics["train/grad_norm"])


@pytest.mark.slow(seconds=3)
def test_metrics_appear_while_the_run_goes_on(tracker: RunTracker) -> None:
    for step in range(250):
        tracker.metrics({"train/loss": 1.0}, step)
    assert run_of(tracker).data.metrics == {"train/loss": 1.0}


def test_image_with_transparency_is_kept(tracker: RunTracker, tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / "sheet.png")
    tracker.image(tmp_path / "sheet.png", "sheets/cube")
    files = [file.path for file in tracker.client.list_artifacts(tracker.run_id, "images")]
    full = next(path for path in files if path.endswith(".png"))
    local = tracker.client.download_artifacts(tracker.run_id, full, str(tmp_path))
    assert "cube" in full
    assert Image.open(local).getpixel((0, 0)) == (255, 0, 0, 128)


def test_artifact_takes_a_file_and_a_folder(tracker: RunTracker, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.md").write_text("text")
    tracker.artifact(tmp_path / "report")
    tracker.artifact(tmp_path / "report/index.md", "pages")
    found = {
        file.path for folder in ("report", "pages") for file in tracker.client.list_artifacts(tracker.run_id, folder)
    }
    assert found == {"report/index.md", "pages/index.md"}


def test_dataset_is_recorded_with_its_digest(tracker: RunTracker) -> None:
    tracker.dataset(Path("data/views"), "views", "f" * 32, "training")
    (entry,) = run_of(tracker).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("views", "f" * 32)
    assert json.loads(entry.dataset.source) == {"uri": "data/views"}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]


@pytest.mark.slow(seconds=2)
def test_model_folder_is_a_logged_model_of_the_run(tracker: RunTracker, tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/config.json").write_text("{}")
    (tmp_path / "model_index.json").write_text("{}")
    tracker.model(tmp_path, "stage1")
    (output,) = run_of(tracker).outputs.model_outputs
    model = tracker.client.get_logged_model(output.model_id)
    assert (model.name, model.status, model.source_run_id) == ("stage1", "READY", tracker.run_id)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    stored = Path(model.artifact_location.removeprefix("file://"))
    kept = stored / "weights"
    assert {str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()} == files
    assert {"MLmodel", "weights.json", "input_example.json", "requirements.txt"} <= {
        path.name for path in stored.iterdir()
    }


def test_tag_is_added_after_the_run_ended(store: TrackingStore) -> None:
    with store.run("render", tags={}, params={}) as tracker:
        pass
    store.tag(tracker.run_id, {"dvc.out.data/views": "abc.dir"})
    assert run_of(tracker).data.tags["dvc.out.data/views"] == "abc.dir"


def test_tracker_has_the_methods_of_the_port(tracker: RunTracker) -> None:
    port: Tracker = tracker
    assert port is tracker


def test_store_asks_again_for_a_server_that_comes_up_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([ConnectionRefusedError("refused"), ConnectionRefusedError("refused"), None])
    waits: list[float] = []
    monkeypatch.setattr("infra.tracking.mlflow_error", lambda *_, **__: next(answers))
    monkeypatch.setattr("infra.tracking.time.sleep", waits.append)
    monkeypatch.setattr(TrackingStore, "_find_experiment", lambda *_: "1")
    TrackingStore(tmp_path, "http://127.0.0.1:1", attempts=5)
    assert waits == [1.0, 2.0]
    assert [record.message for record in caplog.records] == [
        "MLflow at http://127.0.0.1:1 does not answer (refused); asking again"
    ]


def test_store_without_a_server_names_the_address_and_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RuntimeError, match=rf"{uri} does not answer .* set tracking_uri in the profile"):
        TrackingStore(tmp_path, uri)


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        del words


def test_store_whose_server_refuses_names_the_address_and_the_answer(tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(RuntimeError, match=rf"{uri} refuses: .*403.*start the server"):
            TrackingStore(tmp_path, uri)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_store_that_is_not_a_database_names_the_file(tmp_path: Path) -> None:
    uri = local_uri(tmp_path)
    (tmp_path / "mlruns/mlflow.db").write_text("not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(RuntimeError, match=r"mlflow.db refuses: .* move the file away"):
        TrackingStore(tmp_path, uri)


def test_part_of_a_run_hangs_below_it_and_a_table_is_kept(store: TrackingStore, tracker: RunTracker) -> None:
    tracker.table([{"case": "a", "psnr": 20.5}, {"case": "b", "chamfer": 0.1}], "tables/cases")
    with tracker.part("stage3", {"method": "stage3"}) as part:
        part.metrics({"sparse/train/psnr": 20.5}, 4)
    with pytest.raises(ValueError, match="broken"), tracker.part("broken", {}):
        raise ValueError("broken")
    found = store.client.search_runs([store.experiment_id], f"tags.mlflow.parentRunId = '{tracker.run_id}'")
    done, broken = sorted(found, key=lambda run: run.info.status, reverse=True)
    assert (done.info.run_name, done.info.status, done.data.tags["method"]) == ("stage3", "FINISHED", "stage3")
    assert done.data.metrics == {"sparse/train/psnr": 20.5}
    assert (broken.info.run_name, broken.info.status) == ("broken", "FAILED")
    path = store.client.download_artifacts(tracker.run_id, "tables/cases.json")
    table = json.loads(Path(path).read_text())
    assert table["columns"] == ["case", "psnr", "chamfer"]
    assert table["data"][0][:2] == ["a", 20.5]
