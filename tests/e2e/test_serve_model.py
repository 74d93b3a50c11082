"""`python -m flows serve-model` as users start it: Ray Serve, a real model, a killed process, a stop."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from infra.execution.processes import ProcessGroup, is_alive, marked
from models.network.noise import build_scheduler
from tests.infra.loopback import free_port
from tests.models.toy_models import NOISE, toy_pipeline
from tests.project_copy import ROOT
from tests.tasks.commands.bad_photos import ball

START_SECONDS = 600


@pytest.mark.nightly  # tests/infra/serving and tests/tasks/commands/service are its smaller halves
@pytest.mark.e2e
@pytest.mark.slow(seconds=90)
def test_serve_model_survives_a_killed_process_and_stops_without_leaving_any(tmp_path: Path) -> None:
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(tmp_path / "model")
    port = free_port()
    service = Client(f"http://127.0.0.1:{port}", ball(tmp_path / "photo.png"))
    words = ["--model", str(tmp_path / "model"), "--port", str(port), "--device", "cpu"]
    command = [sys.executable, "-m", "flows", "serve-model", *words]
    with (tmp_path / "log").open("w") as log, ProcessGroup(command, root=ROOT, output=log) as group:
        _wait(service, group, tmp_path / "log")
        assert "mesh.glb" in service.ended(service.post(steps=2))["files"]
        job = service.post(steps=600, mesh=0)
        service.wait_for_step(job, 2)
        _sampler().send_signal(signal.SIGKILL)
        assert service.ended(job)["status"] == "done"
        service.wait_for_step(service.post(steps=300, mesh=0), 2)
        os.kill(group._process.pid, signal.SIGTERM)
        with contextlib.suppress(requests.RequestException):
            while service.get("/health").status_code == 200:
                time.sleep(0.05)
            refused = requests.post(f"{service.address}/jobs", files={"photos": b"x"}, timeout=120)
            assert refused.status_code == 503
        assert group.wait() == 0, (tmp_path / "log").read_text()
    again = subprocess.run(
        [*command[:4], "--model", str(tmp_path), "--port", str(port)], capture_output=True, text=True, timeout=600
    )
    assert again.returncode == 2
    assert "name the folder of a saved pipeline" in again.stderr


@pytest.mark.nightly  # Ray Serve begins only after a cold start of Ray
@pytest.mark.e2e
@pytest.mark.slow(seconds=60)
def test_service_that_is_stopped_with_all_its_processes_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    toy_pipeline(build_scheduler(NOISE, "ddpm")).save_pretrained(tmp_path / "model")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    words = ["--model", str(tmp_path / "model"), "--port", str(free_port()), "--device", "cpu"]
    command = [sys.executable, "-m", "flows", "serve-model", *words]
    variables = {"TMPDIR": str(temporary), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor")}
    with (tmp_path / "log").open("w") as log, ProcessGroup(command, root=ROOT, env=variables, output=log) as group:
        deadline = time.monotonic() + START_SECONDS
        while not (ours := _ours("ServeController")):
            assert group.exit_code() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.05)
        assert list(temporary.iterdir())
        group.stop(50)  # as systemd does: SIGTERM to Ray's processes as well
    assert not is_alive(ours[0])
    assert list(temporary.iterdir()) == []


@dataclass(frozen=True)
class Client:
    """Somebody who asks the service."""

    address: str
    photo: Path

    def get(self, path: str) -> requests.Response:
        return requests.get(self.address + path, timeout=120)

    def post(self, **fields: object) -> str:
        files = {"photos": self.photo.read_bytes()}
        answer = requests.post(f"{self.address}/jobs", files=files, data=fields, timeout=120)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def ended(self, job: str) -> dict[str, Any]:
        while (told := self.get(f"/jobs/{job}").json())["status"] not in ("done", "failed"):
            time.sleep(0.2)
        return dict(told)

    def wait_for_step(self, job: str, step: int) -> None:
        while self.get(f"/jobs/{job}").json()["step"] < step:
            time.sleep(0.05)


def _wait(service: Client, group: ProcessGroup, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert group.exit_code() is None, log.read_text()
        with contextlib.suppress(requests.RequestException):
            if service.get("/health").ok:
                return
        time.sleep(0.5)
    raise AssertionError(log.read_text())


def _sampler() -> psutil.Process:
    """The process that holds the model, of those that this test started."""
    return _ours("sampler")[0]


def _ours(word: str) -> list[psutil.Process]:
    """Those of the tests' processes whose command has this word in it."""
    found = []
    for process in marked("MVDPP_TESTS", os.environ["MVDPP_TESTS"]):
        with contextlib.suppress(psutil.Error):
            if word in " ".join(process.cmdline()):
                found.append(process)
    return found
