"""The drill: everything that a run uses is killed or stopped once, and the run ends as one that was left alone does."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.params_edit import set_params
from infra.execution.processes import environment
from tasks.sources.procedural.objects import write_object
from tests.e2e.service_processes import ServiceProcesses, wait_for
from tests.e2e.test_services import PROFILE, make_before_rendering, make_project
from tests.infra.s3 import S3Server
from tests.project_copy import write_profile

pytestmark = [
    pytest.mark.e2e, pytest.mark.slow(seconds=600), pytest.mark.blender, pytest.mark.nightly, pytest.mark.timeout(3600)
]  # fmt: skip
MORE = {"robot": 11, "duck": 0, "mug": 3, "car": 5}
OBJECTS = 2 + len(MORE)
LONGEST = 1800.0
"""Seconds that anything may take beside other work: a dead run is noticed after six minutes."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project with enough objects that rendering lasts, made up to `normalize`."""
    folder = make_project(tmp_path / "project")
    for family, index in MORE.items():
        write_object(family, 0, index, folder / "data" / "source" / f"{family}-{index}.glb")
    set_params(folder / "params.yaml", {"render.quality.samples": 16, "render.resolution": 64})
    monkeypatch.chdir(folder)
    make_before_rendering(folder)
    return folder


@pytest.fixture
def undisturbed(project: Path, tmp_path: Path) -> dict[str, Any]:
    """The lock of the same project after `dvc repro`."""
    folder = tmp_path / "undisturbed"
    shutil.copytree(project, folder, symlinks=True)
    words = [sys.executable, "-m", "dvc", "repro", "render"]
    env = environment({"MVDPP_PROFILE": str(folder / "serial.yaml")})
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return lock(folder)


@pytest.fixture
def team(
    project: Path,
    undisturbed: dict[str, Any],  # noqa: ARG001 - made before the services take processor time
    headless_cluster: Any,
    s3_credentials: None,  # noqa: ARG001 - usefixtures has no effect on fixtures
    tmp_path: Path,
) -> Iterator[ServiceProcesses]:
    """Every service but the worker, and two Ray nodes that get their files through the store."""
    for _ in range(2):
        headless_cluster.add_node(**headless_cluster.node)
    with ServiceProcesses(project, str(project / PROFILE), tmp_path / "services") as services:
        write_profile(
            project / PROFILE, "services", ray_address=headless_cluster.address, workers=2, threads=1, device="cpu",
            tracking_uri=services.mlflow, store_url="s3://mvdpp/drill", s3_endpoint=services.s3.url,
            node_folder=str(tmp_path / "node"),
        )  # fmt: skip
        services.run("buckets")
        services.start("prefect", "mlflow")
        yield services


def lock(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "dvc.lock").read_text())["stages"])


def kill_worker(services: ServiceProcesses, project: Path) -> None:
    """Kill a worker and all that it has begun, at once, as a machine that loses its power does."""
    family = [process for process in psutil.process_iter() if is_of(process, project, services.api)]
    for process in family:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=60)


def is_of(process: psutil.Process, project: Path, api: str) -> bool:
    """Whether a process works in the checkout for the worker: the worker itself, flow runs, DVC, stages."""
    try:
        told = process.environ()
        return process.pid != os.getpid() and told.get("PREFECT_API_URL") == api and process.cwd() == str(project)
    except psutil.Error:
        return False


def run_state(services: ServiceProcesses) -> tuple[str, int]:
    [run] = services.ask("/flow_runs/filter")
    return run["state_type"], run["run_count"]


def finished_objects(project: Path) -> int:
    return len(list(project.glob(".work/render/*/items/*.tar")))


def test_run_ends_as_undisturbed_though_worker_servers_store_and_node_are_killed(
    team: ServiceProcesses, project: Path, undisturbed: dict[str, Any], headless_cluster: Any
) -> None:
    team.start("worker")
    words = [sys.executable, "-m", "prefect", "deployment", "run", "render-objaverse/local"]
    subprocess.run(words, cwd=project, env=os.environ | team.client, check=True, timeout=600, capture_output=True)
    wait_for(lambda: finished_objects(project) >= 1, partial(team.said, "worker"))

    kill_worker(team, project)
    team.stop("prefect", grace=0)
    team.stop("mlflow", grace=0)
    assert run_state_is_kept(team) == "RUNNING"
    team.start("prefect", "worker")  # the worker of another machine that sees this checkout
    wait_for(lambda: run_state(team)[1] >= 2, partial(team.said, "prefect"), LONGEST)

    time.sleep(30)  # the stage asks MLflow again meanwhile
    team.start("mlflow")
    before = finished_objects(project)
    wait_for(lambda: finished_objects(project) > before or not is_under_way(team), partial(team.said, "worker"))
    assert is_under_way(team), f"the drill comes too late, after {run_state(team)}"
    assert finished_objects(project) < OBJECTS
    with ExitStack() as stack:
        team.s3.__exit__(None, None, None)
        time.sleep(30)
        again = S3Server(int(team.s3.url.rpartition(":")[2]))
        stack.enter_context(again)
        headless_cluster.remove_node(headless_cluster.list_all_nodes()[-1], allow_graceful=False)
        wait_for(lambda: not is_under_way(team), partial(team.said, "worker"), LONGEST)

        assert run_state(team)[0] == "COMPLETED", team.said("worker")
        assert lock(project) == undisturbed
        check_mlflow_runs(team)


def check_mlflow_runs(services: ServiceProcesses) -> None:
    """One run of the pipeline that has ended well; of the stage's the first was killed, the last ended well."""
    runs = services.postgres.query("mlflow", "SELECT name, status FROM runs ORDER BY start_time")
    assert [status for name, status in runs if name == "pipeline"] == ["FINISHED"]
    renderings = [status for name, status in runs if name == "render"]
    assert (renderings[0], renderings[-1]) == ("KILLED", "FINISHED")
    assert "RUNNING" not in renderings
    assert len(renderings) + 1 == len(runs)


def is_under_way(services: ServiceProcesses) -> bool:
    """Whether the run is not over: it works, or is dead and will go on."""
    return run_state(services)[0] in ("RUNNING", "PENDING", "SCHEDULED", "CRASHED")


def run_state_is_kept(services: ServiceProcesses) -> str:
    """What the database says of the run while no Prefect server is there."""
    [(state,)] = services.postgres.query("prefect", "SELECT state_type::text FROM flow_run")
    return str(state)
