import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra.execution.processes import runs
from infra.execution.torchrun import TorchrunLauncher


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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as a training that finishes its step
    attempt = os.getppid()  # its torchrun, the same for both
    (folder / f"rank-{os.environ['RANK']}-of-{attempt}").write_text(str(os.getpid()))
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    await_end(folder / f"rank-1-of-{attempt}")
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
LAUNCHERS = [
    pytest.param(TorchrunLauncher(2), id="local"),
    pytest.param(TorchrunLauncher(2, TORCHRUN), id="own command"),
]
OWN_AT_NIGHT = [LAUNCHERS[0], pytest.param(TorchrunLauncher(2, TORCHRUN), id="own command", marks=pytest.mark.nightly)]
"""An own command is started and watched by the same code; that it works at all is tested by day."""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_launcher_runs_the_work_once_in_each_process(launcher: TorchrunLauncher, tmp_path: Path) -> None:
    seen: list[int] = []
    launcher.run(partial(leave_rank, tmp_path), tmp_path / "exchange_dir", watch=lambda: seen.append(1), count=2)
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == ["rank-0-of-2", "rank-1-of-2"]
    assert seen
    left = sorted(path.name for path in (tmp_path / "exchange_dir" / "attempt-0").iterdir())
    assert left == ["rank-0.log", "rank-1.log", "torchrun.log"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", OWN_AT_NIGHT)
def test_launcher_gives_up_on_a_process_that_fails_three_times(
    launcher: TorchrunLauncher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)training process 1 of 2 ended with code 1: .*the second one cannot"):
        launcher.run(partial(fail, tmp_path), tmp_path / "exchange_dir", watch=lambda: None, count=2)
    assert len(list(tmp_path.glob("try-of-1-*"))) == 3
    assert [record.message[-8:] for record in caplog.records] == ["(1 of 2)", "(2 of 2)"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", OWN_AT_NIGHT)
def test_launcher_ends_its_processes_when_the_watch_raises(launcher: TorchrunLauncher, tmp_path: Path) -> None:
    def watch() -> None:
        if len(list(tmp_path.glob("pid-*"))) == 2:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        launcher.run(partial(wait, tmp_path), tmp_path / "exchange_dir", watch=watch, count=2)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.slow
def test_killed_process_is_not_given_the_words_of_another(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"training process 1 of 2 ended with code -9: it said nothing$"):
        TorchrunLauncher(2).run(
            partial(lose_the_other, tmp_path), tmp_path / "exchange_dir", watch=lambda: None, count=2
        )


def wait_the_first_time(folder: Path) -> None:
    (folder / f"pid-{os.getpid()}").touch()
    if not (folder / "killed").exists():
        time.sleep(3600)


@pytest.mark.slow
def test_torchrun_that_is_killed_takes_its_ranks_along_and_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def ranks() -> list[int]:
        return [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]

    first: list[int] = []

    def watch() -> None:
        if len(ranks()) == 2 and not first:
            first.extend(ranks())
            (tmp_path / "killed").touch()
            os.kill(psutil.Process(first[0]).ppid(), signal.SIGKILL)

    work = partial(wait_the_first_time, tmp_path)
    TorchrunLauncher(2).run(work, tmp_path / "exchange_dir", watch=watch, count=2)
    assert [record.message for record in caplog.records] == [
        "`torchrun` ended with code -9: it said nothing; all are started again (1 of 2)"
    ]
    assert len(ranks()) == 4
    assert not any(runs(pid) for pid in first)


def test_launcher_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="`torchruin` ended with code 1: cannot run 'torchruin': No such file"):
        TorchrunLauncher(2, ["torchruin"]).run(print, tmp_path / "exchange_dir", watch=lambda: None, count=2)
