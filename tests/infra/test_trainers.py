import os
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra.trainers import LocalTrainers


def leave_rank(folder: Path) -> None:
    (folder / f"rank-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}").touch()


def fail(folder: Path) -> None:
    (folder / f"try-of-{os.environ['RANK']}-{time.monotonic_ns()}").touch()
    if os.environ["RANK"] == "1":
        raise RuntimeError("the second one cannot")
    time.sleep(60)


def wait(folder: Path) -> None:
    (folder / f"pid-{os.getpid()}").touch()
    time.sleep(60)


def test_local_trainers_run_the_work_once_in_each_process(tmp_path: Path) -> None:
    seen: list[int] = []
    LocalTrainers(3).run(partial(leave_rank, tmp_path), tmp_path / "desk", watch=lambda: seen.append(1), count=3)
    assert sorted(path.name for path in tmp_path.glob("rank-*")) == [f"rank-{rank}-of-3" for rank in range(3)]
    assert seen
    assert not list((tmp_path / "desk").glob("store-*"))


@pytest.mark.slow
def test_local_trainers_give_up_on_a_process_that_fails_three_times(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"(?s)training process 1 of 2 ended with code 1: .*the second one cannot"):
        LocalTrainers(2).run(partial(fail, tmp_path), tmp_path / "desk", watch=lambda: None, count=2)
    assert len(list(tmp_path.glob("try-of-1-*"))) == 3


def test_local_trainers_end_their_processes_when_the_watch_raises(tmp_path: Path) -> None:
    def watch() -> None:
        if len(list(tmp_path.glob("pid-*"))) == 2:
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        LocalTrainers(2).run(partial(wait, tmp_path), tmp_path / "desk", watch=watch, count=2)
    pids = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    assert not any(psutil.pid_exists(pid) for pid in pids)
