"""The contract of tasks/ports.Pool, for every pool; then what only processes can do."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.execution.process_folder import PLACE, PREFIX, sweep
from infra.execution.ray_pool import Limits, RayPool
from infra.execution.serial_pool import SerialPool
from tasks.outcome import Done, Failed, Outcome, Rejected
from tests.infra.execution.pool_jobs import Task, obey

LIMITS = Limits(time_limit=600, recycle_after=100, memory_limit_gb=8)
RayMaker = Callable[..., RayPool[Outcome]]


@pytest.fixture(scope="module")
def ray_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all tests of this file; the pools they make join it."""
    folder = tmp_path_factory.mktemp("session")
    with RayPool[Outcome](failed=Failed, workers=2, limits=LIMITS, log_dir=folder) as pool:
        list(pool.run(obey, [Task("start", folder)]))
        yield


@pytest.fixture
def make_ray(ray_session: None, tmp_path: Path) -> RayMaker:  # noqa: ARG001
    def make(workers: int = 2, **limits: Any) -> RayPool[Outcome]:
        return RayPool(failed=Failed, workers=workers, limits=replace(LIMITS, **limits), log_dir=tmp_path / "logs")

    return make


@pytest.fixture(params=["serial", pytest.param("ray", marks=pytest.mark.slow)])
def pool(request: pytest.FixtureRequest) -> SerialPool[Outcome] | RayPool[Outcome]:
    if request.param == "serial":
        return SerialPool(failed=Failed)
    made: RayPool[Outcome] = request.getfixturevalue("make_ray")()
    return made


def outcomes(pool: Any, folder: Path, *uids: str) -> dict[str, Outcome]:
    """Run the named tasks; every uid must come back exactly once."""
    got = list(pool.run(obey, [Task(uid, folder) for uid in uids]))
    assert sorted(outcome.uid for outcome in got) == sorted(uids)
    return {outcome.uid: outcome for outcome in got}


def attempts(folder: Path, uid: str) -> list[int]:
    """The process of each attempt at an item."""
    return [int(pid) for pid in (folder / uid).read_text().split()]


def test_pool_many_jobs_yields_each_outcome_once(pool: Any, tmp_path: Path) -> None:
    got = outcomes(pool, tmp_path, *(f"do-{index}" for index in range(9)), "reject-1")
    assert got["reject-1"] == Rejected("reject-1", "not wanted")
    assert sum(isinstance(outcome, Done) for outcome in got.values()) == 9


def test_pool_without_jobs_yields_nothing(pool: Any, tmp_path: Path) -> None:
    assert outcomes(pool, tmp_path) == {}


def test_pool_one_job_yields_it(pool: Any, tmp_path: Path) -> None:
    assert isinstance(outcomes(pool, tmp_path, "do-1")["do-1"], Done)


def test_pool_exception_fails_the_item_only_and_names_its_place(pool: Any, tmp_path: Path) -> None:
    got = outcomes(pool, tmp_path, "raise-1", "do-1", "do-2")
    broken = got["raise-1"]
    assert isinstance(broken, Failed)
    assert broken.error.startswith("ValueError: the teapot has no lid (execution/pool_jobs.py:")
    assert "Traceback" in broken.log
    assert str(Path.cwd()) not in broken.log
    assert broken.attempts == 1
    assert len(attempts(tmp_path, "raise-1")) == 1
    assert isinstance(got["do-1"], Done)
    assert isinstance(got["do-2"], Done)


def test_pool_can_be_used_again(pool: Any, tmp_path: Path) -> None:
    assert isinstance(outcomes(pool, tmp_path, "do-1")["do-1"], Done)
    assert isinstance(outcomes(pool, tmp_path, "do-2")["do-2"], Done)


@pytest.mark.slow
def test_ray_pool_outcome_that_does_not_pickle_fails(make_ray: RayMaker, tmp_path: Path) -> None:
    got = outcomes(make_ray(), tmp_path, "lock-1", "do-1")
    assert isinstance(got["lock-1"], Failed)
    assert "pickle" in got["lock-1"].error
    assert isinstance(got["do-1"], Done)


@pytest.mark.slow
def test_ray_pool_segfault_is_tried_twice_then_failed_with_log(make_ray: RayMaker, tmp_path: Path) -> None:
    got = outcomes(make_ray(), tmp_path, "crash-1", *(f"do-{index}" for index in range(6)))
    crashed = got.pop("crash-1")
    assert isinstance(crashed, Failed)
    assert "died" in crashed.error
    assert "about to crash" in crashed.log
    assert crashed.attempts == 2
    assert len(attempts(tmp_path, "crash-1")) == 2
    assert all(isinstance(outcome, Done) for outcome in got.values())


@pytest.mark.slow
def test_ray_pool_process_that_died_once_is_forgiven(make_ray: RayMaker, tmp_path: Path) -> None:
    assert isinstance(outcomes(make_ray(workers=1), tmp_path, "crash_once-1")["crash_once-1"], Done)
    assert len(attempts(tmp_path, "crash_once-1")) == 2


@pytest.mark.slow
def test_ray_pool_hang_is_killed_at_the_limit_while_others_finish(make_ray: RayMaker, tmp_path: Path) -> None:
    got = outcomes(make_ray(time_limit=10), tmp_path, "hang-1", *(f"do-{index}" for index in range(6)))
    hung = got.pop("hang-1")
    assert isinstance(hung, Failed)
    assert "longer than 10 s" in hung.error
    assert "about to hang" in hung.log
    assert all(isinstance(outcome, Done) for outcome in got.values())
    [pid] = attempts(tmp_path, "hang-1")
    assert is_gone(pid, within=300)


@pytest.mark.slow
def test_ray_pool_temporary_files_of_workers_lie_in_the_session(make_ray: RayMaker, tmp_path: Path) -> None:
    outcome = outcomes(make_ray(workers=1), tmp_path, "do-1")["do-1"]
    assert isinstance(outcome, Done)
    assert str(outcome.facts["temporary"]).startswith(f"{PLACE}/{PREFIX}")


@pytest.mark.slow
def test_ray_pool_runs_workers_at_the_priority_of_the_command(make_ray: RayMaker, tmp_path: Path) -> None:
    outcome = outcomes(make_ray(workers=1), tmp_path, "do-1")["do-1"]
    assert isinstance(outcome, Done)
    assert outcome.facts["niceness"] == os.nice(0)


@pytest.mark.slow
def test_ray_pool_recycles_a_process_after_its_items(make_ray: RayMaker, tmp_path: Path) -> None:
    uids = [f"do-{index}" for index in range(4)]
    outcomes(make_ray(workers=1, recycle_after=2), tmp_path, *uids)
    pids = [pid for uid in uids for pid in attempts(tmp_path, uid)]
    assert len(set(pids)) == 2
    assert pids[0] == pids[1]


@pytest.mark.slow
def test_ray_pool_recycles_a_process_above_its_memory(make_ray: RayMaker, tmp_path: Path) -> None:
    outcomes(make_ray(workers=1, memory_limit_gb=0.001), tmp_path, "do-1", "do-2")
    assert attempts(tmp_path, "do-1") != attempts(tmp_path, "do-2")


@pytest.mark.slow
def test_ray_pool_left_early_ends_its_processes(make_ray: RayMaker, tmp_path: Path) -> None:
    run: Any = make_ray().run(obey, [Task("do-1", tmp_path), Task("hang-1", tmp_path)])
    assert next(run).uid == "do-1"
    until = time.monotonic() + 600
    while not (tmp_path / "hang-1").exists() and time.monotonic() < until:
        time.sleep(0.1)
    run.close()
    assert all(is_gone(pid, within=300) for uid in ("do-1", "hang-1") for pid in attempts(tmp_path, uid))


def is_gone(pid: int, within: float) -> bool:
    """Whether a process ends (a zombie has) within so many seconds."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


DRIVER = """
import signal, sys
from pathlib import Path
from infra.execution.ray_pool import Limits, RayPool
from tasks.outcome import Failed
from tests.infra.execution.pool_jobs import Task, obey
folder = Path(sys.argv[1])
def end(*_):
    (folder / "handled").touch()
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
with RayPool(failed=Failed, workers=1, limits=Limits(3600, 9, 9), log_dir=folder / "logs") as pool:
    list(pool.run(obey, [Task("hang-1", folder)]))
"""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[psutil.Popen]:
    """A process whose only item hangs; at the end nothing of its family is left."""
    process = psutil.Popen([sys.executable, "-c", DRIVER, str(tmp_path)])
    until = time.monotonic() + 600
    while not (tmp_path / "hang-1").exists() and time.monotonic() < until:
        time.sleep(0.2)
    family = process.children(recursive=True)
    yield process
    for member in (process, *family):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    sweep()


@pytest.mark.slow
def test_ray_pool_killed_driver_takes_its_workers_along(driver: psutil.Popen, tmp_path: Path) -> None:
    family = {member.pid: member.name() for member in driver.children(recursive=True)}
    [worker] = attempts(tmp_path, "hang-1")
    assert worker in family
    driver.kill()
    driver.wait()
    # Two helpers of Ray try for a minute to report the death to a server that is dead as well.
    busy = [pid for pid, name in family.items() if "Agent" not in name]
    assert all(is_gone(pid, within=300) for pid in busy)


@pytest.mark.slow
def test_ray_pool_terminated_driver_ends_its_own_way_and_leaves_nothing(driver: psutil.Popen, tmp_path: Path) -> None:
    family = driver.children(recursive=True)
    driver.terminate()
    assert driver.wait(timeout=600) > 0  # an exception's code; Ray does not pass on which
    assert (tmp_path / "handled").exists()
    assert all(is_gone(member.pid, within=300) for member in family)
