"""A deployment run through real services: Prefect and MLflow on PostgreSQL, S3, a worker, two Ray nodes."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flows.params import load_params
from flows.params_edit import set_params
from flows.pipeline import STAGES
from flows.wiring import open_tools
from infra.execution.processes import environment
from infra.profile import load_profile
from infra.tracking import Untracked
from tasks.sources.procedural.objects import write_object
from tests.e2e.service_processes import ServiceProcesses, wait_for
from tests.e2e.tiny_project import FAMILIES, TINY
from tests.project_copy import ROOT, copy_project, write_profile

pytestmark = [pytest.mark.e2e, pytest.mark.slow(seconds=120), pytest.mark.blender, pytest.mark.timeout(1800)]
BEFORE = ("catalog", "select", "download", "normalize")
PROFILE = "team.yaml"


def make_project(folder: Path) -> Path:
    """The project with two objects at the smallest size, and what Prefect's commands read."""
    source = copy_project(folder) / "data" / "source"
    for family in ("mug", "car"):
        write_object(family, 0, FAMILIES[family], source / f"{family}.glb")
    set_params(folder / "params.yaml", TINY)
    for name in ("prefect.yaml", "prefect.toml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def make_before_rendering(project: Path) -> None:
    """Make what `render` reads, in this process, and let DVC take it over."""
    profile = load_profile(str(write_profile(project / "serial.yaml", pool="serial")))
    params = load_params(project / "params.yaml")
    for name in BEFORE:
        with open_tools(name, profile, Untracked(), project) as tools:
            STAGES[name](params, tools)
    dvc(project, "commit", "--force", *BEFORE)


def dvc(project: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=project, env=environment({}), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    make_before_rendering(folder)
    return folder


@pytest.fixture
def team(
    project: Path,
    cluster: Any,
    s3_credentials: None,  # noqa: ARG001 - usefixtures has no effect on fixtures
    tmp_path: Path,
) -> Iterator[ServiceProcesses]:
    """Every service but the worker, and two Ray nodes."""
    cluster.add_node(**cluster.node)
    with ServiceProcesses(project, str(project / PROFILE), tmp_path / "services") as services:
        write_profile(
            project / PROFILE, "services", ray_address=cluster.address, workers=2, threads=1, device="cpu",
            tracking_uri=services.mlflow,
        )  # fmt: skip
        services.run("buckets")
        services.start("prefect", "mlflow")
        yield services


def test_deployment_run_goes_through_postgresql_s3_and_two_ray_nodes(team: ServiceProcesses, project: Path) -> None:
    team.start("worker")
    words = [sys.executable, "-m", "prefect", "deployment", "run", "render-objaverse/local", "--watch"]
    done = subprocess.run(
        words, cwd=project, env=os.environ | team.client, capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr + team.said("worker")

    [run] = team.ask("/flow_runs/filter")
    assert (run["state_type"], run["work_pool_name"]) == ("COMPLETED", "mvdiffusion-pp")
    tasks = {row["name"]: row["state_name"] for row in team.ask("/task_runs/filter")}
    assert tasks == dict.fromkeys(BEFORE, "Cached") | {"render": "Completed"}
    assert team.postgres.query("prefect", "SELECT state_name FROM flow_run") == [("Completed",)]

    runs = sorted(team.postgres.query("mlflow", "SELECT name, status, run_uuid FROM runs"))
    assert [row[:2] for row in runs] == [("pipeline", "FINISHED"), ("render", "FINISHED")]
    listed = team.s3.client().list_objects_v2(Bucket="mlflow", Prefix="artifacts/")["Contents"]
    names = {entry["Key"].rpartition("/artifacts/")[2] for entry in listed}
    assert "manifest.json" in names
    assert any(name.endswith(".png") for name in names), "a contact sheet"
    logs = sorted((project / ".work" / "render" / "logs").glob("worker-*.log"))
    assert [log.read_text().count("=== ") for log in logs] == [1, 1], "one object on each node"

    assert "up to date" in dvc(project, "status", *BEFORE, "render")
    check_artifacts(team, str(runs[-1][2]))
    check_form_and_trigger(team)


def check_artifacts(team: ServiceProcesses, run_id: str) -> None:
    """Prefect shows how far the run came, each stage with its MLflow run, and a contact sheet."""
    shown = {row["key"]: row for row in team.ask("/artifacts/filter")}
    assert shown["progress"]["data"] == 100
    [rendered] = [row for row in json.loads(shown["stages"]["data"]) if row["stage"] == "render"]
    assert rendered["MLflow"] == f"[{run_id}]({team.mlflow}/#/experiments/1/runs/{run_id})"
    with urllib.request.urlopen(shown["sheet-render"]["data"], timeout=60) as sheet:
        assert sheet.read(8) == b"\x89PNG\r\n\x1a\n"


def check_form_and_trigger(team: ServiceProcesses) -> None:
    """A value out of bounds is refused before anything is scheduled; the event of new objects schedules a run."""
    [deployment] = [row for row in team.ask("/deployments/filter") if row["entrypoint"].endswith("render_objaverse")]
    with pytest.raises(urllib.error.HTTPError, match="409"):
        team.ask(f"/deployments/{deployment['id']}/create_flow_run", parameters={"settings": {"render_resolution": 8}})
    team.stop("worker")
    event = {"event": "mvdpp.uids.new", "resource": {"prefect.resource.id": "mvdpp.catalog"}, "id": str(uuid.uuid4())}
    team.send("/events", [event | {"occurred": datetime.now(UTC).isoformat()}])
    wait_for(lambda: len(team.ask("/flow_runs/filter")) == 2, partial(team.said, "prefect"), 300)
