"""Each check on a good and on a broken machine."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from threading import Thread

import pytest

from infra import machine
from infra.setup import checks
from infra.setup.checks import Check
from infra.setup.doctor import exit_code, render, run_doctor

ROOT = Path(__file__).parents[3]


@pytest.fixture
def server() -> Iterator[str]:
    """A server that answers everything with 200, as MLflow's /health does."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Healthy) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


def dvc(folder: Path, config: str) -> Path:
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(config)
    return folder


def is_remedied(check: Check, status: str = "FAIL") -> bool:
    return check.status == status and bool(check.remedy)


def test_check_python_other_version_fails() -> None:
    assert checks.check_python((3, 11)).status == "PASS"
    assert is_remedied(checks.check_python((3, 12)))


def test_check_packages_missing_or_other_version_fails_and_names_them(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text(f"# a comment with == in it\nruff=={metadata.version('ruff')}\n")
    assert checks.check_packages(pins).status == "PASS"
    pins.write_text("ruff==0.0.1\nno-such-package==1.0\n")
    check = checks.check_packages(pins)
    assert is_remedied(check)
    assert "ruff" in check.detail
    assert "no-such-package missing" in check.detail


def test_check_libraries_missing_fails_with_the_apt_line() -> None:
    assert checks.check_libraries([]).status == "PASS"
    assert checks.check_libraries(["libGL.so.1"]).remedy.endswith("libgl1")


def test_check_git_outside_a_repository_fails(tmp_path: Path) -> None:
    assert is_remedied(checks.check_git(tmp_path))
    (tmp_path / ".git").mkdir()
    assert checks.check_git(tmp_path).status == "PASS"


def test_check_dvc_without_repository_fails(tmp_path: Path) -> None:
    assert is_remedied(checks.check_dvc(tmp_path))


def test_check_dvc_without_remote_passes(tmp_path: Path) -> None:
    assert checks.check_dvc(dvc(tmp_path, "[core]\n    analytics = false\n    autostage = false\n")).status == "PASS"


def test_check_dvc_local_remote_warns_until_it_is_there(tmp_path: Path) -> None:
    dvc(tmp_path, f"[core]\n    remote = disk\n['remote \"disk\"']\n    url = {tmp_path}/store\n")
    assert is_remedied(checks.check_dvc(tmp_path), "WARN")
    (tmp_path / "store").mkdir()
    assert checks.check_dvc(tmp_path).status == "PASS"


@pytest.mark.slow
def test_check_dvc_remote_that_dvc_wrote_is_understood(tmp_path: Path, server: str) -> None:
    dvc(tmp_path, "[core]\n    no_scm = true\n")
    for words in (["add", "-d", "s3", "s3://bucket/folder"], ["modify", "s3", "endpointurl", server]):
        command = [sys.executable, "-m", "dvc", "remote", *words]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=600, capture_output=True)
    assert checks.check_dvc(tmp_path).status == "PASS"


def test_check_dvc_endpoint_that_is_silent_warns(tmp_path: Path, nobody: str) -> None:
    dvc(tmp_path, f"[core]\n    remote = s3\n['remote \"s3\"']\n    url = s3://bucket\n    endpointurl = {nobody}\n")
    assert is_remedied(checks.check_dvc(tmp_path), "WARN")


@pytest.mark.parametrize(("free_gb", "status"), [(100, "PASS"), (10, "WARN"), (1, "FAIL")])
def test_check_disk_by_free_space(free_gb: float, status: str) -> None:
    assert checks.check_disk(free_gb).status == status


@pytest.mark.parametrize(("memory_gb", "workers_gb", "status"), [(16, 8, "PASS"), (16, 32, "WARN"), (2, 1, "FAIL")])
def test_check_memory_by_what_workers_may_take(memory_gb: float, workers_gb: float, status: str) -> None:
    assert checks.check_memory(memory_gb, workers_gb).status == status


def test_check_tracking_in_the_project_passes_before_and_after_the_first_run(tmp_path: Path) -> None:
    assert checks.check_tracking(None, tmp_path).status == "PASS"
    (tmp_path / "mlruns").mkdir()
    sqlite3.connect(tmp_path / "mlruns" / "mlflow.db").close()
    assert checks.check_tracking(None, tmp_path).status == "PASS"


def test_check_tracking_broken_database_fails(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"this is no database" * 100)
    assert is_remedied(checks.check_tracking(f"sqlite:///{tmp_path}/store.db", tmp_path))


def test_check_tracking_server_by_its_answer(tmp_path: Path, server: str, nobody: str) -> None:
    assert checks.check_tracking(server, tmp_path).status == "PASS"
    assert is_remedied(checks.check_tracking(nobody, tmp_path))


def test_check_s3_by_its_answer(server: str, nobody: str) -> None:
    assert checks.check_s3(None).status == "PASS"
    assert checks.check_s3(server).status == "PASS"
    assert is_remedied(checks.check_s3(nobody))


def test_check_blender_and_ray_outside_the_project_fail_with_the_error(tmp_path: Path) -> None:
    for check in (checks.check_blender(tmp_path), checks.check_ray(None, tmp_path)):
        assert is_remedied(check)
        assert "No module named" in check.detail


@pytest.mark.slow
def test_check_torch_by_the_device_that_is_wanted() -> None:
    assert checks.check_torch("cpu", ROOT).status == "PASS"
    assert checks.check_torch("cuda", ROOT).status == ("PASS" if machine.num_cuda_gpus() else "FAIL")


@pytest.mark.slow
@pytest.mark.blender
def test_check_blender_here_renders() -> None:
    assert checks.check_blender(ROOT).status == "PASS"


@pytest.mark.slow
def test_check_ray_here_answers() -> None:
    assert checks.check_ray(None, ROOT) == Check("ray", "PASS", "a worker answers")


def test_run_doctor_without_packages_checks_the_environment(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("no-such-package==1.0\n")
    shown: list[Check] = []
    found = run_doctor(None, tmp_path, shown.append)
    assert found == shown
    assert {check.name: check.status for check in found}["packages"] == "FAIL"
    assert exit_code(found) == 1


def test_render_puts_each_remedy_under_its_check() -> None:
    table = render([Check("disk", "PASS", "90 GB free"), Check("git", "FAIL", "not usable", "run `git init`")])
    first, second, third = table.splitlines()
    assert first.startswith("PASS")
    assert second.split()[:2] == ["FAIL", "git"]
    assert third.strip() == "-> run `git init`"


def test_exit_code_ignores_warnings() -> None:
    assert exit_code([Check("disk", "WARN", "10 GB free", "free some")]) == 0
