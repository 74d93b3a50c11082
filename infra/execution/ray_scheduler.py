"""Hands items to Ray actors one by one and makes an outcome of whatever becomes of each.

Plain actors and a queue of our own, because Ray's retries follow processes, not items: an item that kills every process
would be tried for ever.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic

import ray
from ray.exceptions import RayError, RayTaskError

from infra.execution.ray_pool import Limits
from infra.execution.ray_worker import START_LIMIT, Attempt, Worker, WorkerHandle
from infra.execution.worker_log import FailedMaker, Job, OutcomeT, WorkError, last_lines

MAX_ATTEMPTS = 2
"""How often an item is tried whose process dies: a second time, for the death may have had another cause."""
MAX_START_DEATHS = 3
"""Workers that die in a row before they are ready; then something is wrong with all of them."""


class Scheduler(Generic[OutcomeT]):
    """One run of a pool: the queue of items that wait, and the workers."""

    def __init__(
        self,
        work: Callable[[Any], OutcomeT],
        jobs: Sequence[Job],
        failed: FailedMaker[OutcomeT],
        limits: Limits,
        log_dir: Path,
    ) -> None:
        """Queue the items.

        Args:
            work: What is done with each item; must pickle.
            jobs: The items.
            failed: Makes the outcome of an item that fails.
            limits: What a worker may take.
            log_dir: Takes the workers' logs.
        """
        self._work = work
        self._queue = deque(Attempt(job, 1) for job in jobs)
        self._failed = failed
        self._limits = limits
        self._log_dir = log_dir
        self._actor_class = ray.remote(num_cpus=1, num_gpus=limits.worker_gpus, max_restarts=0, max_task_retries=0)(
            Worker
        )
        self._workers: list[WorkerHandle] = []
        self._start_deaths = 0

    def run(self, num_workers: int) -> Iterator[OutcomeT]:
        """Yield the outcomes; no worker is left, however this ends."""
        try:
            for index in range(min(num_workers, len(self._queue))):
                self._workers.append(WorkerHandle(self._actor_class, self._log_dir / f"worker-{index:03d}.log"))
            while self._workers:
                for worker, has_ended in self._wait():
                    if worker in self._workers:  # else removed along with one before it
                        outcomes = self._handle_result(worker) if has_ended else self._handle_timeout(worker)
                        self._assign_next(worker)
                        yield from outcomes
        finally:
            for worker in self._workers:
                worker.kill()

    def _wait(self) -> list[tuple[WorkerHandle, bool]]:
        """Workers that have answered or died (True) or run out of time (False)."""
        pending = [worker.pending for worker in self._workers]
        deadline = min(worker.deadline for worker in self._workers)
        ray.wait(pending, num_returns=1, timeout=max(0.0, deadline - time.monotonic()))
        ended, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        now = time.monotonic()
        return [
            (worker, worker.pending in ended)
            for worker in self._workers
            if worker.pending in ended or worker.deadline <= now
        ]

    def _handle_result(self, worker: WorkerHandle) -> list[OutcomeT]:
        """Return the outcome of a worker's item; none where it was only starting, or the item is queued again."""
        try:
            answer = ray.get(worker.pending)
        except RayTaskError as error:
            return [self._fail(worker, f"its work or its outcome does not pickle: {last_lines(str(error))}")]
        except RayError as error:
            worker.is_spent = True
            return self._handle_death(worker, error)
        self._start_deaths = 0
        if worker.attempt is None:
            return []
        outcome, memory_gb = answer
        worker.num_done += 1
        worker.is_spent = worker.num_done >= self._limits.recycle_after or memory_gb > self._limits.memory_limit_gb
        return [self._fail(worker, outcome.error) if isinstance(outcome, WorkError) else outcome]

    def _handle_death(self, worker: WorkerHandle, error: Exception) -> list[OutcomeT]:
        """Queue the item of a dead worker again, or fail it after its last attempt."""
        if worker.attempt is None:
            self._start_deaths += 1
            if self._start_deaths >= MAX_START_DEATHS:
                raise RuntimeError(
                    f"{MAX_START_DEATHS} Ray workers in a row died at start: {error}\n{worker.log_tail()}"
                )
            return []
        if worker.attempt.number < MAX_ATTEMPTS:
            self._queue.append(Attempt(worker.attempt.job, worker.attempt.number + 1))
            return []
        return [self._fail(worker, f"its process died, {worker.attempt.number} times ({type(error).__name__})")]

    def _handle_timeout(self, worker: WorkerHandle) -> list[OutcomeT]:
        """Fail the item that takes too long; raise when no worker comes up and none is at work either."""
        worker.is_spent = True
        if worker.attempt is not None:
            limit = f"{self._limits.time_limit:g} s"
            return [self._fail(worker, f"took longer than {limit}; raise `time_limit` in the profile if it should")]
        if not any(other.attempt for other in self._workers):
            share = self._limits.worker_gpus
            wanted = f"processor and {share:g} of a graphics card" if share else "processor"
            raise RuntimeError(
                f"no Ray worker came up in {START_LIMIT:.0f} s, the cluster has no free {wanted} for one: "
                "stop what holds them, or lower `workers` or `worker_gpus` in the profile"
            )
        return []

    def _assign_next(self, worker: WorkerHandle) -> None:
        """Give a worker the next item, in a fresh process where needed; remove idle workers when the queue is empty."""
        if self._queue and not worker.is_spent:
            worker.start(self._work, self._queue.popleft(), self._limits.time_limit)
        else:
            self._remove(worker)
            if self._queue:
                self._workers.append(WorkerHandle(self._actor_class, worker.log))
        if not self._queue:
            for idle in [other for other in self._workers if other.attempt is None]:
                self._remove(idle)

    def _remove(self, worker: WorkerHandle) -> None:
        worker.kill()
        self._workers.remove(worker)

    def _fail(self, worker: WorkerHandle, error: str) -> OutcomeT:
        """Make the outcome of a worker's item that has failed."""
        assert worker.attempt is not None
        attempt = worker.attempt
        return self._failed(uid=attempt.job.uid, error=error, log=worker.log_tail(), attempts=attempt.number)
