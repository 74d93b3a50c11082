"""What a killed `dvc` leaves behind does not stop the next run; what a running one holds stays."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from infra.versioning import Repository, repro_command
from tests.tiny_repo import copy_repo, edit, repro, runs

TORN = {"empty": "", "half": '{"write": {"/a": {"pid": PID, "cm', "shape": '{"write": ["/a"]}', "zeros": "\0" * 64}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = copy_repo(tmp_path / "repo")
    (repo / ".dvc/tmp").mkdir(exist_ok=True)
    return repo


@contextmanager
def zombie() -> Iterator[int]:
    """A process that has ended and that nobody has collected."""
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    yield ended.pid
    ended.wait()


@contextmanager
def running_dvc(repo: Path) -> Iterator[subprocess.Popen[str]]:
    """A `dvc repro` whose first stage runs; killed at the end."""
    edit(repo, "seconds: 0", "seconds: 10000")
    command = repro_command("first", single=True)
    process = subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        assert "Running stage" in process.stdout.readline()
        yield process
    finally:
        with suppress(ProcessLookupError):  # a test has ended it
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        edit(repo, "seconds: 10000", "seconds: 0")


def test_run_that_was_killed_but_not_collected_holds_nothing(repo: Path) -> None:
    path = repo / ".dvc/tmp/rwlock"
    with zombie() as ended:
        rows = {pid: {"pid": pid, "cmd": "dvc repro"} for pid in (ended, os.getpid())}
        held = {"write": {"/a": rows[ended], "/b": rows[os.getpid()]}, "read": {"/c": list(rows.values())}}
        path.write_text(json.dumps(held))
        Repository(repo).forget_ended_runs()
    left = rows[os.getpid()]
    assert json.loads(path.read_text()) == {"write": {"/b": left}, "read": {"/c": [left]}}


@pytest.mark.parametrize("left", TORN.values(), ids=TORN.keys())
def test_torn_notes_of_ended_runs_are_removed_and_said(left: str, repo: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = repo / ".dvc/tmp/rwlock"
    with zombie() as ended, caplog.at_level(logging.WARNING):
        path.write_text(left.replace("PID", str(ended)))
        Repository(repo).forget_ended_runs()
    assert [record.getMessage().split(" was torn")[0] for record in caplog.records] == [str(path)]
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


@pytest.mark.slow(seconds=1)
@pytest.mark.parametrize("left", [TORN["empty"], TORN["shape"]])
def test_dvc_runs_again_once_torn_notes_are_removed(left: str, repo: Path) -> None:
    (repo / ".dvc/tmp/rwlock").write_text(left)
    with pytest.raises(AssertionError, match="RWLock-file"):
        repro(repo, "first")
    Repository(repo).forget_ended_runs()
    repro(repo, "first")
    assert runs(repo) == ["first"]


def test_torn_notes_that_name_a_running_process_stay(repo: Path) -> None:
    path, text = repo / ".dvc/tmp/rwlock", TORN["half"].replace("PID", str(os.getpid()))
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"process {os.getpid()} may hold it; wait until it has ended"):
        Repository(repo).forget_ended_runs()
    assert path.read_text() == text


@pytest.mark.slow(seconds=2)
def test_empty_notes_stay_while_dvc_runs_in_the_checkout_and_go_afterwards(repo: Path, tmp_path: Path) -> None:
    path = repo / ".dvc/tmp/rwlock"
    other = copy_repo(tmp_path / "other")
    with running_dvc(repo) as process:
        for folder in (repo, other):
            (folder / ".dvc/tmp").mkdir(exist_ok=True)
            (folder / ".dvc/tmp/rwlock").write_text("")
        with pytest.raises(ValueError, match=f"process {process.pid} may hold it"):
            Repository(repo).forget_ended_runs()
        assert path.read_text() == ""
        Repository(other).forget_ended_runs()  # DVC of another checkout holds nothing here
    Repository(repo).forget_ended_runs()
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


def test_whole_notes_of_a_running_dvc_stay_as_they_are(repo: Path) -> None:
    with running_dvc(repo):
        before = json.loads((repo / ".dvc/tmp/rwlock").read_text())
        assert before["write"]
        Repository(repo).forget_ended_runs()
        assert json.loads((repo / ".dvc/tmp/rwlock").read_text()) == before
