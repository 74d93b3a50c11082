"""What a killed `dvc` leaves running is ended before the next one begins; who still works is waited for."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from infra.dvc_locks import holders
from infra.dvc_orphans import end_orphans, end_with_dvc
from infra.execution.processes import catches_sigterm, runs
from infra.versioning import Repository
from tests.infra.test_dvc_locks import running_dvc
from tests.tiny_repo import copy_repo


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = copy_repo(tmp_path / "repo")
    (repo / ".dvc/tmp").mkdir(exist_ok=True)
    return repo


def words_of(process: psutil.Process) -> list[str]:
    """The words of its command; none once it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # which a zombie is, too
        return []


def job_of(dvc: subprocess.Popen[str]) -> psutil.Process:
    """The command of the stage that `dvc` runs."""
    while True:
        children = psutil.Process(dvc.pid).children(recursive=True)
        jobs = [child for child in children if "job.py" in words_of(child)]
        if jobs:
            return jobs[0]


def test_what_a_killed_dvc_has_started_is_ended(repo: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_dvc(repo) as dvc, caplog.at_level(logging.WARNING):
        job = job_of(dvc)
        end_orphans(repo, repo / ".dvc/tmp")  # it is none yet
        assert runs(job.pid)
        dvc.kill()
        dvc.wait()
        Repository(repo).await_others()
        assert not runs(job.pid)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("waiting for what a killed run has left")
    assert str(job.pid) in said


def test_orphans_of_other_stages_and_checkouts_stay(repo: Path, tmp_path: Path) -> None:
    other = copy_repo(tmp_path / "other")
    with running_dvc(repo) as dvc:
        job = job_of(dvc)
        dvc.kill()
        dvc.wait()
        end_orphans(repo, repo / ".dvc/tmp", "second")
        end_orphans(other, other / ".dvc/tmp")
        assert runs(job.pid)
        end_orphans(repo, repo / ".dvc/tmp", "first")
        assert not runs(job.pid)


@pytest.mark.slow(seconds=2)
def test_dvc_that_works_in_the_checkout_is_waited_for(repo: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            said.set()

    with running_dvc(repo) as dvc, caplog.at_level(logging.WARNING):
        logging.getLogger("infra.dvc_orphans").addHandler(told := Told())

        def end() -> None:
            said.wait(600)
            os.killpg(dvc.pid, signal.SIGKILL)
            dvc.wait()

        thread = threading.Thread(target=end)
        thread.start()
        Repository(repo).await_others()
        assert not runs(dvc.pid)
        thread.join()
        assert dvc.returncode == -signal.SIGKILL
        logging.getLogger("infra.dvc_orphans").removeHandler(told)
    assert f"process {dvc.pid} (" in caplog.records[0].getMessage()
    assert "waiting for its end" in caplog.records[0].getMessage()


def test_notes_of_another_process_or_another_checkout_hold_nothing(repo: Path) -> None:
    path = repo / ".dvc/tmp/rwlock"
    path.write_text(json.dumps({"write": {str(repo / "data"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}))
    assert [holder.pid for holder in holders(path.parent)] == [os.getpid()]
    (copy := copy_repo(repo.with_name("copy")) / ".dvc/tmp").mkdir(exist_ok=True)
    shutil.copyfile(path, copy / "rwlock")
    assert holders(copy) == []
    os.utime(path, (1, 1))  # as after a start of the machine
    assert holders(path.parent) == []
    Repository(repo).forget_ended_runs()
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


def test_stage_whose_dvc_has_ended_does_not_begin(repo: Path) -> None:
    with pytest.raises(RuntimeError, match="the `dvc` that started this stage has ended"):
        end_with_dvc(repo / ".dvc/tmp", [str(repo / "data/first")])


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [("", False), ("signal.signal(signal.SIGTERM, lambda *_: None)", True)],
    ids=["default", "handler"],
)
def test_process_is_known_to_catch_sigterm(prepare: str, expected: bool) -> None:
    code = f"import signal, sys; {prepare or 'pass'}; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert catches_sigterm(psutil.Process(child.pid)) is expected
        child.kill()
