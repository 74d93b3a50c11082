"""Work spread over processes by Ray, on this machine or a cluster. A crash or a hang costs one item, not the run.

Plain actors and an own queue, because Ray's retries follow processes, not items: an item that kills every process
would be tried for ever. Every node of a cluster must see the project folder and the log folder under the same path.
"""

import logging
import os
import secrets
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

from infra.execution.ray_session import SessionFolder
from infra.execution.ray_worker import START_LIMIT, Attempt, Worker, WorkerHandle
from infra.execution.worker_log import FailedMaker, Job, OutcomeT, WorkError, last_lines

MAX_ATTEMPTS = 2
"""How often an item is tried whose process dies: a second time, for the death may have had another cause."""
MAX_START_DEATHS = 3
HIDE_CARDS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
"""A worker that reserves no share of a graphics card sees none."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Jobs and outcomes are small; the work itself travels by file."""


@dataclass(frozen=True)
class Limits:
    """What a worker process may take; `infra/profile.py` says what each means."""

    time_limit: float
    recycle_after: int
    memory_limit_gb: float
    worker_gpus: float = 0.0


class RayPool(Generic[OutcomeT]):
    """Runs work in `workers` processes. Ray starts at the first item and ends with `close()`."""

    def __init__(
        self, *, failed: FailedMaker[OutcomeT], workers: int, limits: Limits, log_dir: Path, address: str | None = None
    ) -> None:
        self.num_workers = workers
        self._failed = failed
        self._limits = limits
        self._log_dir = log_dir
        self._address = address
        self._is_owner = False
        self._session: SessionFolder | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, work: Callable[[Any], OutcomeT], jobs: Sequence[Job]) -> Iterator[OutcomeT]:
        """Yield one outcome per job as it ends.

        An exception fails the item, and so does the time limit, at once. An item whose process dies is tried once more.
        Raises RuntimeError when no process comes up at all.
        """
        if jobs:
            self._connect()
            yield from _Run(work, jobs, self._failed, self._limits, self._log_dir).run(self.num_workers)

    def close(self) -> None:
        """End the private Ray, or leave the cluster; every worker process is gone afterwards."""
        if self._is_owner:
            import ray

            ray.shutdown()
            self._is_owner = False
        if self._session is not None:
            self._session.remove()
            self._session = None

    def _connect(self) -> None:
        """Start or join Ray, unless this process already has."""
        import ray

        if ray.is_initialized():
            return
        self._is_owner = True
        on_terminate = signal.getsignal(signal.SIGTERM)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is None:
            # Ray's ports are open to the network and guarded by a token, which it takes from the environment and would
            # otherwise write to the home folder. It remembers the first one for the life of this process.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            self._session = SessionFolder()
            options |= {"num_cpus": self.num_workers, "object_store_memory": OBJECT_STORE_BYTES}
            # A worker that is killed leaves temporary files, Blender one folder each time.
            options["runtime_env"] = {"env_vars": {"TMPDIR": str(self._session.temporary), **HIDE_CARDS}}
            ray.init("local", include_dashboard=False, _temp_dir=str(self._session.path), **options)
        else:
            paths = {"env_vars": {"PYTHONPATH": str(Path.cwd()), **HIDE_CARDS}}
            ray.init(self._address, runtime_env=paths, **options)
        signal.signal(signal.SIGTERM, on_terminate)  # Ray takes it over; the stage has its own way to end


class _Run(Generic[OutcomeT]):
    """One run of a pool: the items still waiting, and the hands at work."""

    def __init__(
        self,
        work: Callable[[Any], OutcomeT],
        jobs: Sequence[Job],
        failed: FailedMaker[OutcomeT],
        limits: Limits,
        log_dir: Path,
    ) -> None:
        import ray

        self._work = work
        self._waiting = deque(Attempt(job, 1) for job in jobs)
        self._failed = failed
        self._limits = limits
        self._log_dir = log_dir
        self._actor_class = ray.remote(num_cpus=1, num_gpus=limits.worker_gpus, max_restarts=0, max_task_retries=0)(
            Worker
        )
        self._hands: list[WorkerHandle] = []
        self._start_deaths = 0

    def run(self, num_workers: int) -> Iterator[OutcomeT]:
        """Yield the outcomes; no process is left, however this ends."""
        try:
            for index in range(min(num_workers, len(self._waiting))):
                self._hands.append(WorkerHandle(self._actor_class, self._log_dir / f"worker-{index:03d}.log"))
            while self._hands:
                for hand, has_ended in self._wait():
                    if hand in self._hands:  # else dismissed by one before it
                        outcomes = self._conclude(hand) if has_ended else self._overdue(hand)
                        self._go_on(hand)
                        yield from outcomes
        finally:
            for hand in self._hands:
                hand.kill()

    def _wait(self) -> list[tuple[WorkerHandle, bool]]:
        """Hands that want attention, each with whether it has answered or died (True) or run out of time (False)."""
        import ray

        pending = [hand.pending for hand in self._hands]
        ray.wait(pending, num_returns=1, timeout=max(0.0, min(hand.due for hand in self._hands) - time.monotonic()))
        ended, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        now = time.monotonic()
        return [(hand, hand.pending in ended) for hand in self._hands if hand.pending in ended or hand.due <= now]

    def _conclude(self, hand: WorkerHandle) -> list[OutcomeT]:
        """What a hand that has answered or died has to say: the outcome of its item, or nothing yet."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer = ray.get(hand.pending)
        except RayTaskError as error:
            return [self._fail(hand, f"its work or its outcome does not pickle: {last_lines(str(error))}")]
        except RayError as error:
            hand.is_spent = True
            return self._died(hand, error)
        self._start_deaths = 0
        if hand.attempt is None:
            return []
        outcome, memory_gb = answer
        hand.num_done += 1
        hand.is_spent = hand.num_done >= self._limits.recycle_after or memory_gb > self._limits.memory_limit_gb
        return [self._fail(hand, outcome.error) if isinstance(outcome, WorkError) else outcome]

    def _died(self, hand: WorkerHandle, error: Exception) -> list[OutcomeT]:
        """The process is gone: its item is tried once more, then it fails."""
        if hand.attempt is None:
            self._start_deaths += 1
            if self._start_deaths >= MAX_START_DEATHS:
                raise RuntimeError(
                    f"{MAX_START_DEATHS} Ray workers in a row died at start: {error}\n{hand.last_words()}"
                )
            return []
        if hand.attempt.number < MAX_ATTEMPTS:
            self._waiting.append(Attempt(hand.attempt.job, hand.attempt.number + 1))
            return []
        return [self._fail(hand, f"its process died, {hand.attempt.number} times ({type(error).__name__})")]

    def _overdue(self, hand: WorkerHandle) -> list[OutcomeT]:
        """The time is up: for the item, or for a process that does not come up while no other works either."""
        hand.is_spent = True
        if hand.attempt is not None:
            limit = f"{self._limits.time_limit:g} s"
            return [self._fail(hand, f"took longer than {limit}; raise `time_limit` in the profile if it should")]
        if not any(other.attempt for other in self._hands):
            share = self._limits.worker_gpus
            wanted = f"processor and {share:g} of a graphics card" if share else "processor"
            raise RuntimeError(
                f"no Ray worker came up in {START_LIMIT:.0f} s, the cluster has no free {wanted} for one: "
                "stop what holds them, or lower `workers` or `worker_gpus` in the profile"
            )
        return []

    def _go_on(self, hand: WorkerHandle) -> None:
        """Give a hand the next item, in a fresh process where needed; dismiss every idle hand when nothing waits."""
        if self._waiting and not hand.is_spent:
            hand.take(self._work, self._waiting.popleft(), self._limits.time_limit)
        else:
            self._dismiss(hand)
            if self._waiting:
                self._hands.append(WorkerHandle(self._actor_class, hand.log))
        if not self._waiting:
            for idle in [other for other in self._hands if other.attempt is None]:
                self._dismiss(idle)

    def _dismiss(self, hand: WorkerHandle) -> None:
        hand.kill()
        self._hands.remove(hand)

    def _fail(self, hand: WorkerHandle, error: str) -> OutcomeT:
        """The record of the item in hand."""
        assert hand.attempt is not None
        return self._failed(uid=hand.attempt.job.uid, error=error, log=hand.last_words(), attempts=hand.attempt.number)
