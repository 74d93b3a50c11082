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
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from flows.params_edit import set_params
from tasks.artifacts.views import ViewSet
from tests.e2e.tiny_project import CANARY, environment, make_project, repro
from tests.infra.hidden_node import hidden_node
from tests.infra.s3 import S3Server
from tests.project_copy import write_profile

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


@pytest.mark.parametrize(
    ("stage", "signs"),
    [
        ("render", ".work/render/*/items/*.tar"),
        pytest.param("train-stage1", ".work/train-stage1/*/samples-*.pt", marks=pytest.mark.nightly),
    ],
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


POOL_STAGES = (
    "normalize",
    "render",
    "validate-views",
    "encode",
    "render-test",
    "gso-eval",
    "baselines",
    "sample",
    "reconstruct",
    "evaluate",
)


@pytest.mark.nightly
def test_pipeline_on_a_node_without_shared_disk_makes_equal_bytes_though_the_store_is_killed(
    made: Path, headless_cluster: Any, s3: S3Server, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True, ignore=shutil.ignore_patterns(".work"))
    outs = {stage: stage_out(folder, stage) for stage in POOL_STAGES}
    for out in outs.values():
        shutil.rmtree(folder / out)
    s3.client().create_bucket(Bucket="apart")
    write_profile(
        folder / "apart.yaml",
        ray_address=headless_cluster.address,
        store_url="s3://apart/tiny",
        s3_endpoint=s3.url,
        node_folder=str(tmp_path / "node"),
        retries=8,
    )
    with hidden_node(headless_cluster.address, folder, num_cpus=2) as as_seen_there, ExitStack() as servers:
        for stage in POOL_STAGES:
            words, env = [sys.executable, "-m", "flows", "stage", stage], environment("apart.yaml")
            process = subprocess.Popen(words, cwd=folder, env=env, stderr=subprocess.PIPE, text=True)
            if stage == "render":
                wait_for_results(s3, process)
                s3.__exit__(None, None, None)
                time.sleep(3)
                servers.enter_context(S3Server(urlsplit(s3.url).port or 0))
            said = process.communicate(timeout=900)[1]
            assert process.returncode == 0, said[-3000:]
            assert not list(as_seen_there.iterdir())
    for stage, out in outs.items():
        assert contents(folder / out) == contents(made / out), stage


def wait_for_results(s3: S3Server, process: "subprocess.Popen[str]") -> None:
    while not any(request.startswith("PUT /apart/tiny/results/") for request in s3.requests):
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.05)


def stage_out(folder: Path, stage: str) -> str:
    [out] = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]["outs"]
    return str(next(iter(out)) if isinstance(out, dict) else out)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def wait_for(folder: Path, signs: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 900
    assert process.stderr is not None
    while not list(folder.glob(signs)):
        assert process.poll() is None, f"ended before it could be killed: {process.stderr.read().decode()[-2000:]}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
