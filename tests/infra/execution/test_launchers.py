import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra.execution.launchers import LaunchedTrainers, LocalTrainers, ProcessTrainers
from infra.execution.processes import runs


def leave_rank(folder: Path) -> None:
    (folder / f"rank-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}").touch()


def fail(folder: Path) -> None:
    (folder / f"try-of-{os.environ['RANK']}-{time.monotonic_ns()}").touch()
    if os.environ["RANK"] == "1":
        raise RuntimeError("the second one cannot")
    time.sleep(3600)


def wait(folder: Path) -> None:
    (folder / f"pid-{os.getpid()}").touch()
    time.sleep(3600)


def lose_the_other(folder: Path) -> None:
    (folder / f"rank-{os.environ['RANK']}").write_text(str(os.getpid()))
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    await_end(folder / "rank-1")
    raise RuntimeError("the line to the other one broke")


def await_end(note: Path) -> None:
    """Wait until the process whose number is written in `note` has ended."""
    while not note.exists() or not note.read_text() or runs(int(note.read_text())):
        time.sleep(0.02)


TORCHRUN = [
    "torchrun",
    "--nproc-per-node=2",
    "--rdzv-backend=c10d",
    "--rdzv-endpoint=localhost:0",
    "--local-addr=localhost",
]


@pytest.mark.slow
@pytest.mark.parametrize("trainers", [LocalTrainers(2), LaunchedTrainers(2, TORCHRUN)])
def test_trainers_run_the_work_once_in_each_process(trainers: ProcessTrainers, tmp_path: Path) -> None:
    seen: list[int] = []
    trainers.run(partial(leave_rank, tmp_path), tmp_path / "exchange_dir", watch=lambda: seen.append(1), count=2)
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == ["rank-0-of-2", "rank-1-of-2"]
    assert seen
    assert not list((tmp_path / "exchange_dir").glob("store-*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trainers", "name"), [(LocalTrainers(2), "training process 1 of 2"), (LaunchedTrainers(2, TORCHRUN), "`torchrun ")]
)
def test_trainers_give_up_on_a_process_that_fails_three_times(
    trainers: ProcessTrainers, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match=rf"(?s){name}.* ended with code 1: .*the second one cannot"):
        trainers.run(partial(fail, tmp_path), tmp_path / "exchange_dir", watch=lambda: None, count=2)
    assert len(list(tmp_path.glob("try-of-1-*"))) == 3
    assert [record.message[-8:] for record in caplog.records] == ["(1 of 2)", "(2 of 2)"]


@pytest.mark.slow
@pytest.mark.parametrize("trainers", [LocalTrainers(2), LaunchedTrainers(2, TORCHRUN)])
def test_trainers_end_their_processes_when_the_watch_raises(trainers: ProcessTrainers, tmp_path: Path) -> None:
    def watch() -> None:
        if len(list(tmp_path.glob("pid-*"))) == 2:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        trainers.run(partial(wait, tmp_path), tmp_path / "exchange_dir", watch=watch, count=2)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.slow
def test_killed_process_is_not_given_the_words_of_another(tmp_path: Path) -> None:
    def watch() -> None:
        """Both have ended when the processes are looked at."""
        for rank in range(2):
            await_end(tmp_path / f"rank-{rank}")

    with pytest.raises(RuntimeError, match=r"training process 1 of 2 ended with code -9: it said nothing$"):
        LocalTrainers(2).run(partial(lose_the_other, tmp_path), tmp_path / "exchange_dir", watch, count=2)


def test_launcher_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="`torchruin` ended with code 1: cannot run 'torchruin': No such file"):
        LaunchedTrainers(2, ["torchruin"]).run(print, tmp_path / "exchange_dir", watch=lambda: None, count=2)


def test_tied_command_ends_with_the_process_that_started_it() -> None:
    begin = (
        "import os, subprocess, sys, time;"
        "child = [sys.executable, '-m', 'infra.execution.die_with_parent', str(os.getpid()), 'sleep', '3600'];"
        "print(subprocess.Popen(child).pid, flush=True); time.sleep(3600)"
    )
    with subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        deadline = time.monotonic() + 600
        while child.cmdline()[:1] != ["sleep"] and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.kill()
    while runs(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(child.pid)
