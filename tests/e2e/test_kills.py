"""SIGKILL anywhere in `flows run` -> `dvc repro` -> `flows stage`: nothing is left, and the same command goes on."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from flows.params_edit import set_params
from infra.execution.processes import is_alive
from infra.tracking import PIPELINE_TAG, TrackingStore
from tests.e2e.tiny_project import environment
from tests.infra.server import Fault, WebServer
from tests.project_copy import copy_project, write_profile
from tests.tasks.hub import glb, lay_out_hub

pytestmark = [pytest.mark.e2e, pytest.mark.slow(seconds=60), pytest.mark.timeout(3600)]
INDEX = "object-paths.json.gz"
RUN = [sys.executable, "-m", "flows", "run", "catalog"]
MARKS = {"flows run": "-m flows run", "dvc": " repro ", "flows stage": "-m flows stage"}
"""What tells the command lines of the chain apart."""
REPRO = [sys.executable, "-m", "dvc", "repro", "catalog"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[WebServer]:
    lay_out_hub(tmp_path / "hub", {f"object{index:02d}": glb(str(index)) for index in range(3)})
    with WebServer(tmp_path / "hub") as web:
        yield web


@pytest.fixture
def project(tmp_path: Path, hub: WebServer) -> Path:
    """The project with the hub as its source."""
    folder = copy_project(tmp_path / "project")
    set_params(folder / "params.yaml", {"catalog.source": "objaverse", "catalog.max_objects": None})
    write_profile(folder / "here.yaml", hub_url=hub.url)
    return folder


@contextmanager
def started(project: Path, words: list[str]) -> Iterator[subprocess.Popen[str]]:
    env = environment("here.yaml")
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(words, cwd=project, env=env, start_new_session=True, **output)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


def family(process: subprocess.Popen[str]) -> dict[str, psutil.Process]:
    """The chain of a command, by what each of it is."""
    found = {}
    for member in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
        words = " ".join(member.cmdline())
        for name, mark in MARKS.items():
            if mark in words:
                found[name] = member
    return found


def wait_for_stage(hub: WebServer, process: subprocess.Popen[str], number: int) -> None:
    """Return once the stage has asked for the index as often as `number`."""
    while sum(path.endswith(INDEX) for path in hub.requests) < number:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def test_command_that_is_killed_anywhere_leaves_nothing_and_goes_on_at_once(project: Path, hub: WebServer) -> None:
    hub.faults[INDEX] = [Fault(hang=True)] * 4
    # DVC by itself comes first: it takes a killed DVC that nobody has collected yet for one that runs.
    plans = [(REPRO, "dvc"), (RUN, "flows run"), (RUN, "dvc"), (RUN, "flows stage")]
    killed: list[psutil.Process] = []
    for number, (words, victim) in enumerate(plans, start=1):
        with started(project, words) as process:
            wait_for_stage(hub, process, number)
            chain = family(process)
            assert len(chain) == (3 if words is RUN else 2)
            chain[victim].send_signal(signal.SIGKILL)
            killed += chain.values()
            process.communicate(timeout=900)  # ends when all have ended that hold its output
    with started(project, RUN) as last:
        said, _ = last.communicate(timeout=900)
    assert last.returncode == 0, said
    assert not [process for process in killed if is_alive(process)]
    store = TrackingStore(project, None)
    runs = store.client.search_runs([store.experiment_id])
    for is_pipeline in (True, False):
        ended = sorted(run.info.status for run in runs if (PIPELINE_TAG in run.data.tags) is is_pipeline)
        assert ended == ["FINISHED", *["KILLED"] * 4]
