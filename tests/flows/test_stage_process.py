import errno
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.params import Params
from flows.run_records import RunRecord, is_running, note_start, read_record, tag_outputs, write_record
from flows.stage_process import Pipeline, Step, stage_process
from infra.profile import Profile
from infra.tracking import TrackingStore
from infra.versioning import Repository, lock_key, out_hashes
from tasks.artifacts.manifest import Kind, seal
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Tools, Tracker
from tests.tasks.toolbox import make_tools
from tests.tiny_repo import run

HERE = Path(__file__).parents[2]
OUT = Path("data/catalog")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own graph and parameters, without its code."""
    root = tmp_path_factory.mktemp("project")
    for name in ("dvc.yaml", "params.yaml", ".gitignore"):
        shutil.copyfile(HERE / name, root / name)
    (root / "data/gso_source").mkdir(parents=True)
    (root / "data/peers").mkdir()
    (root / "data/source").mkdir()
    (root / "data/source/README.md").write_text("empty")
    run(root, "git", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    run(root, "git", "add", ".")
    run(root, "git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "start")
    TrackingStore(root, None)
    return root


@pytest.fixture
def root(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(project)
    yield project
    shutil.rmtree(project / OUT, ignore_errors=True)
    shutil.rmtree(project / ".work", ignore_errors=True)


@contextmanager
def open_tools(stage: str, profile: Profile, tracker: Tracker, root: Path) -> Iterator[Tools]:
    del stage, profile
    yield make_tools(root / ".work", tracker=tracker)


def run_catalog(root: Path, step: Step, *, flow_run: str = "", verbose: bool = False) -> int:
    pipeline = Pipeline({"catalog": step}, open_tools)
    return stage_process("catalog", root, pipeline, profile="ci", flow_run=flow_run, verbose=verbose)


def make_catalog(params: Params, tools: Tools) -> None:
    tools.tracker.metrics({"objects": float(len(params.catalog.include))})
    (OUT / "sheets").mkdir(parents=True)
    for index in range(14):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(OUT / f"sheets/{index:02}.png")
    outcomes: list[Outcome] = [Done("a"), Done("b"), Rejected("c", "too big"), Failed("d", "broken")]
    seal(OUT, Kind.CATALOG, config=params.catalog, inputs={}, outcomes=outcomes)


def failing(error: BaseException) -> Callable[[Params, Tools], None]:
    def step(params: Params, tools: Tools) -> None:
        del params, tools
        raise error

    return step


def last_run(root: Path) -> Any:
    store = TrackingStore(root, None)
    return store.client.search_runs([store.experiment_id], max_results=1)[0]


def test_stage_leaves_a_run_with_params_tags_counts_and_sheets(root: Path) -> None:
    assert run_catalog(root, make_catalog, flow_run="http://127.0.0.1/runs/1") == 0
    found = last_run(root)
    repository = Repository(root)
    assert found.info.status == "FINISHED"
    assert found.data.params["catalog.source"] == "procedural"
    assert found.data.params["seed"] == "0"
    assert not any(key.startswith("render.") for key in found.data.params)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=600).stdout
    expected = {
        "stage": "catalog",
        "dvc.stage": "catalog",
        "dvc.run_key": repository.run_key("catalog"),
        "dvc.dep.data/source": repository.dep_hashes("catalog")["data/source"],
        "git.commit": head.strip(),
        "git.dirty": "false",
        "mlflow.source.git.commit": head.strip(),
        "mlflow.source.name": "python -m flows stage catalog",
        "mlflow.source.type": "PROJECT",
        "mlflow.user": getpass.getuser(),
        "prefect.flow_run": "http://127.0.0.1/runs/1",
    }
    assert {key: found.data.tags.get(key) for key in expected} == expected
    counts = {"items/done": 2, "items/rejected": 1, "items/failed": 1, "objects": 1}
    assert {key: found.data.metrics[key] for key in counts} == counts
    assert found.data.metrics["stage_seconds"] >= 0
    store = TrackingStore(root, None)
    assert "manifest.json" in [file.path for file in store.client.list_artifacts(found.info.run_id)]
    sheets = [file.path for file in store.client.list_artifacts(found.info.run_id, "images")]
    assert len([path for path in sheets if path.endswith(".png")]) == 12
    executed = read_record(root, "catalog")
    assert executed is not None
    assert (executed.run_id, executed.key) == (found.info.run_id, repository.run_key("catalog"))


@pytest.mark.slow(seconds=4)
def test_stages_of_one_flow_run_hang_below_one_run_and_a_stage_by_itself_below_none(root: Path) -> None:
    store = TrackingStore(root, None)
    parents = []
    for flow_run in ("flow-7", "flow-7", "flow-8"):
        assert run_catalog(root, make_catalog, flow_run=flow_run) == 0
        parents.append(last_run(root).data.tags["mlflow.parentRunId"])
        shutil.rmtree(root / OUT)
    assert parents[0] == parents[1] != parents[2]
    above = store.client.get_run(parents[0])
    assert (above.info.run_name, above.info.status) == ("pipeline", "FINISHED")
    assert above.data.tags["pipeline.run"] == above.data.tags["prefect.flow_run"] == "flow-7"
    assert {"mlflow.user", "mlflow.source.git.commit", "mlflow.note.content"} <= set(above.data.tags)
    assert run_catalog(root, failing(ValueError("broken")), flow_run="flow-7") == 1
    assert store.client.get_run(parents[0]).info.status == "FAILED"
    assert run_catalog(root, make_catalog) == 0
    assert "mlflow.parentRunId" not in last_run(root).data.tags


def test_stage_is_told_the_hashes_of_its_inputs(root: Path) -> None:
    told: dict[str, str] = {}

    def step(params: Params, tools: Tools) -> None:
        told.update(tools.input_hashes)
        make_catalog(params, tools)

    assert run_catalog(root, step) == 0
    assert told == Repository(root).dep_hashes("catalog", with_files=True)
    assert told["data/source"].endswith(".dir")


def test_stage_clears_what_an_unfinished_run_left(root: Path) -> None:
    (root / OUT).mkdir(parents=True)
    (root / OUT / "half.csv").write_text("uid")
    assert run_catalog(root, make_catalog) == 0
    assert not (root / OUT / "half.csv").exists()


def test_stage_whose_output_is_finished_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_catalog(root, make_catalog) == 0
    assert run_catalog(root, make_catalog) == 1
    assert "data/catalog is finished already" in capsys.readouterr().err
    assert (root / OUT / "manifest.json").exists()


@pytest.mark.parametrize("error", [ValueError("catalog.folder is empty"), RuntimeError("3 of 4 items failed")])
def test_stage_that_fails_says_one_sentence_and_keeps_the_traceback(
    root: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    assert run_catalog(root, failing(error)) == 1
    answer = capsys.readouterr().err
    assert answer == f"stage catalog failed: {error}\n(traceback: .work/logs/catalog.log)\n"
    assert "Traceback" in (root / ".work/logs/catalog.log").read_text()
    assert last_run(root).info.status == "FAILED"
    assert read_record(root, "catalog") is None


def test_stage_that_fails_shows_the_traceback_when_verbose(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_catalog(root, failing(ValueError("broken")), verbose=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_stage_that_seals_nothing_fails(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_catalog(root, lambda params, tools: None) == 1  # noqa: ARG005
    assert "ended without" in capsys.readouterr().err
    assert last_run(root).info.status == "FAILED"


def test_stage_on_a_full_disk_says_what_to_do_even_without_room_for_the_traceback(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        del content
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("flows.stage_process.write_bytes", full)
    assert run_catalog(root, failing(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/views/x.tar"))) == 1
    said = capsys.readouterr().err
    assert "No space left on device: 'data/views/x.tar'; free space there and give the same command again" in said
    assert "traceback: not written" in said
    assert last_run(root).info.status == "FAILED"


def test_stage_with_a_bug_is_not_hidden(root: Path) -> None:
    with pytest.raises(KeyError):
        run_catalog(root, failing(KeyError("bug")))
    assert last_run(root).info.status == "FAILED"


def test_stage_with_wrong_params_starts_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = (root / "params.yaml").read_text()
    before = num_runs(root)
    (root / "params.yaml").write_text(right.replace("min_score: 5.0", "min_score: 50.0"))
    try:
        assert run_catalog(root, make_catalog) == 1
    finally:
        (root / "params.yaml").write_text(right)
    assert "select.min_score: Input should be less than or equal to 10 (got 50.0)" in capsys.readouterr().err
    assert num_runs(root) == before


def num_runs(root: Path) -> int:
    store = TrackingStore(root, None)
    return len(store.client.search_runs([store.experiment_id]))


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_stage_that_is_stopped_cleans_up_and_ends_its_run(root: Path, number: int, error: type[BaseException]) -> None:
    cleaned = []

    def step(params: Params, tools: Tools) -> None:
        del params, tools
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            cleaned.append(True)

    handler = signal.getsignal(number)
    with pytest.raises(error):
        run_catalog(root, step)
    assert cleaned == [True]
    assert last_run(root).info.status == "KILLED"
    assert signal.getsignal(number) is handler
    assert not list((root / ".work/running").iterdir())


@pytest.mark.slow(seconds=1)
def test_run_left_open_by_a_killed_process_is_ended(root: Path) -> None:
    store = TrackingStore(root, None)
    left, above = (store.client.create_run(store.experiment_id).info.run_id for _ in range(2))
    pid = os.fork()
    if pid == 0:
        note_start(root, "catalog", left, above)
        os._exit(0)
    os.waitpid(pid, 0)
    assert run_catalog(root, make_catalog) == 0
    assert [store.client.get_run(run_id).info.status for run_id in (left, above)] == ["KILLED", "KILLED"]


@pytest.mark.slow(seconds=2)
def test_notes_of_runs_that_mlflow_lost_stop_nothing(root: Path) -> None:
    lost = "0" * 32
    store = TrackingStore(root, None)
    note = root / ".work/running/catalog.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"run_id": lost, "pid": 2**22}))
    assert run_catalog(root, make_catalog) == 0
    run(root, sys.executable, "-m", "dvc", "commit", "-q", "-f", "catalog")
    key = Repository(root).run_key("catalog")
    assert key is not None
    write_record(root, "catalog", RunRecord(lost, key, 1.0))
    assert tag_outputs(root, store) == ["catalog"]
    (root / "dvc.lock").unlink()


@pytest.mark.parametrize("left", ["", '{"run_id": "00', "\0" * 40, "7"], ids=["empty", "half", "zeros", "number"])
def test_torn_notes_of_runs_stop_nothing(root: Path, left: str) -> None:
    for name in ("running", "executed"):
        path = root / ".work" / name / "catalog.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(left)
    assert not is_running(root, "catalog")
    assert tag_outputs(root, TrackingStore(root, None)) == []
    assert run_catalog(root, make_catalog) == 0
    assert read_record(root, "catalog") is not None


def test_run_of_the_project_that_this_is_a_copy_of_does_not_run_here(root: Path, tmp_path: Path) -> None:
    note_start(root, "catalog", "0" * 32)
    assert is_running(root, "catalog")
    shutil.copytree(root / ".work", tmp_path / ".work")
    assert not is_running(tmp_path, "catalog")


@pytest.mark.slow(seconds=2)
def test_outputs_are_tagged_once_dvc_knows_them(root: Path) -> None:
    store = TrackingStore(root, None)
    assert run_catalog(root, make_catalog) == 0
    run_id = last_run(root).info.run_id
    assert tag_outputs(root, store) == []
    run(root, sys.executable, "-m", "dvc", "commit", "-q", "-f", "catalog")
    assert lock_key(root, "catalog") == Repository(root).run_key("catalog")
    assert tag_outputs(root, store) == ["catalog"]
    assert store.client.get_run(run_id).data.tags["dvc.out.data/catalog"] == out_hashes(root, "catalog")["data/catalog"]
    assert tag_outputs(root, store) == []
    (root / "dvc.lock").unlink()


def test_outputs_of_other_inputs_are_not_tagged(root: Path) -> None:
    store = TrackingStore(root, None)
    run_id = store.client.create_run(store.experiment_id).info.run_id
    write_record(root, "catalog", RunRecord(run_id, "0" * 64, 1.0))
    assert tag_outputs(root, store) == []
