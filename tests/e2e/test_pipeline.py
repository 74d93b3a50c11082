"""All stages for real at the smallest size, through `dvc repro`; kills in the middle; what runs again."""

import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.params_edit import set_params
from flows.pipeline import STAGES
from infra.tracking import TrackingStore
from tasks.artifacts.views import ViewSet
from tests.e2e.through_s3 import KILLED_IN, differences, make_through_s3
from tests.e2e.tiny_project import CANARY, environment, make_project, repro

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.blender, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything made once."""
    folder = make_project(tmp_path_factory.mktemp("e2e") / "project")
    repro(folder)
    return folder


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '([^']+)'", output)


def lock(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "dvc.lock").read_text())["stages"]


def test_pipeline_makes_models_samples_meshes_and_a_report(made: Path) -> None:
    metrics = json.loads((made / "reports" / "metrics.json").read_text())
    cases = {"stage1-sparse-1", "stage2-sparse-1", "stage3-sparse-1", "stage3-sparse-2", "stage1-ring-1"}
    assert cases <= set(metrics)
    for case, groups in metrics.items():
        assert set(groups) == {"train", "held_out"}, f"{case}: one test object of each split"
        for scores in groups.values():
            assert {"psnr", "ssim", "mask_iou", "psnr_over_white", "psnr_over_copy"} <= set(scores)
    for stage in ("stage1", "stage2", "stage3"):
        assert (made / "models_out" / stage / "model_index.json").exists()
    assert list((made / "data" / "views" / "sheets").glob("*.png"))


def test_pipeline_broken_object_is_rejected_in_ledger_and_report_and_the_rest_completes(made: Path) -> None:
    rows = [json.loads(line) for line in (made / "data" / "objects" / "ledger.jsonl").read_text().splitlines()]
    rows += [json.loads(line) for line in (made / "data" / "normalized" / "ledger.jsonl").read_text().splitlines()]
    broken = [row for row in rows if row["uid"] == "broken" and row["status"] != "done"]
    assert len(broken) == 1
    reason = broken[0].get("reason") or broken[0].get("error")
    page = html.unescape((made / "reports" / "index.html").read_text())
    assert "broken" in page
    assert reason[:40] in page
    assert ViewSet.open(made / "data" / "views").uids == ["car", "mug", "robot"]


def test_pipeline_writes_no_secret_of_its_environment_anywhere(made: Path) -> None:
    """Data, models, ledgers, logs, MLflow's database and artifacts, DVC's files, and the report."""
    files = [path for path in made.rglob("*") if path.is_file()]
    assert {"mlflow.db", "dvc.lock", "index.html", "ledger.jsonl"} <= {path.name for path in files}
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]


def test_pipeline_second_repro_runs_nothing(made: Path) -> None:
    assert ran(repro(made)) == []


def test_pipeline_stages_hang_below_one_run_of_mlflow(made: Path) -> None:
    store = TrackingStore(made, None)
    above = store.client.search_runs([store.experiment_id], "tags.mlflow.source.name = 'dvc.yaml'")
    assert [(run.info.run_name, run.info.status) for run in above] == [("pipeline", "FINISHED")]
    below = store.client.search_runs(
        [store.experiment_id], f"tags.mlflow.parentRunId = '{above[0].info.run_id}'", order_by=["attributes.start_time"]
    )
    assert [run.info.run_name for run in below] == list(STAGES)


@pytest.mark.nightly
def test_pipeline_changed_value_runs_only_what_depends_on_it(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True)
    set_params(folder / "params.yaml", {"reconstruct.vote": 0.8})
    assert ran(repro(folder)) == ["baselines", "reconstruct", "evaluate"]


def test_pipeline_misspelt_key_stops_before_any_work(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True)
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("  min_score: 5.0", "  min_scoer: 5.0\n  min_score: 50.0"))
    with pytest.raises(AssertionError) as failure:
        repro(folder)
    assert "select.min_scoer: no such key" in str(failure.value)
    assert re.search(r"select.min_score: .*less than or equal to 10.*50", str(failure.value))
    assert ran(str(failure.value)) == ["select"]
    assert lock(folder) == lock(made)


# By day the chain is killed in test_kills.py, a training is ended in tests/tasks/test_train_stages.py, and what seals
# the views of `render` is killed at each of its steps in tests/tasks/artifacts/test_released_shards.py.
@pytest.mark.nightly
@pytest.mark.parametrize(
    ("stage", "signs"),
    [("render", ".work/render/*/items/*.tar"), ("train-stage1", ".work/train-stage1/*/samples-*.pt")],
)
def test_pipeline_killed_in_the_middle_completes_with_equal_bytes(
    made: Path, tmp_path: Path, stage: str, signs: str
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True, ignore=shutil.ignore_patterns(".work"))
    out = next(iter(yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]["outs"]))
    shutil.rmtree(folder / out)
    command, env = [sys.executable, "-m", "flows", "stage", stage], environment("ci")
    process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True, stderr=subprocess.PIPE)
    wait_for(folder, signs, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=600)
    assert not (folder / out / "manifest.json").exists()
    finished = {path: path.stat().st_mtime_ns for path in folder.glob(signs)}
    subprocess.run(command, cwd=folder, env=env, check=True, timeout=3600, capture_output=True)
    if stage == "render":
        journal = next(folder.glob(".work/render/*/journal.jsonl"))
        keys = [json.loads(line)["key"] for line in journal.read_text().splitlines() if line.strip()]
        assert finished
        assert len(keys) == len(set(keys)) == 3
    assert contents(folder / out) == contents(made / out)


@pytest.mark.nightly
def test_pipeline_through_s3_that_is_killed_again_and_again_makes_equal_bytes(made: Path, tmp_path: Path) -> None:
    first = make_project(tmp_path / "first")
    assert make_through_s3(first, tmp_path, base="ci") == [*KILLED_IN, "push", "pull"]
    assert differences(first, made) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def wait_for(folder: Path, signs: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 900
    assert process.stderr is not None
    while not list(folder.glob(signs)):
        assert process.poll() is None, f"ended before it could be killed: {process.stderr.read().decode()[-2000:]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
