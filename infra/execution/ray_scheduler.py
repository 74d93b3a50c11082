"""Hands items to Ray actors one by one and makes an outcome of whatever becomes of each.

Plain actors and a queue of our own, because Ray's retries follow processes, not items: an item that kills every process
would be tried for ever.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Generic

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from infra.execution.parcels import NodePlace
from infra.execution.ray_nodes import draining_nodes
from infra.execution.ray_pool import Limits
from infra.execution.ray_worker import START_LIMIT, AttemptQueue, Worker, WorkerHandle
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
        jobs: Iterable[Job],
        failed: FailedMaker[OutcomeT],
        limits: Limits,
        log_dir: Path,
        place: NodePlace | None = None,
    ) -> None:
        """Queue the items.

        Args:
            work: What is done with each item; must pickle.
            jobs: The items, which are asked for as workers become free.
            failed: Makes the outcome of an item that fails.
            limits: What a worker may take.
            log_dir: Takes the workers' logs; a relative one lies in each node's own folder, where there is a `place`.
            place: What nodes have that do not see this machine's disk; None: they see it.
        """
        self._work = work
        self._queue = AttemptQueue(jobs)
        self._failed = failed
        self._limits = limits
        self._log_dir = log_dir
        self._place = place
        self._actor_class = ray.remote(num_cpus=1, num_gpus=limits.worker_gpus, max_restarts=0, max_task_retries=0)(
            Worker
        )
        self._workers: list[WorkerHandle] = []
        self._start_deaths = 0

    def run(self, num_workers: int, poll_seconds: float = float("inf")) -> Iterator[OutcomeT | None]:
        """Yield the outcomes, and None every `poll_seconds`, for who waits for other things as well.

        No worker is left, however this ends.
        """
        try:
            if self._queue.has_more():
                self._workers += [self._new(self._log_dir / f"worker-{index:03d}.log") for index in range(num_workers)]
            while self._workers:
                answers = self._wait(poll_seconds)
                if not answers:
                    yield None
                for worker, has_ended in answers:
                    if worker in self._workers:  # else removed along with one before it
                        outcomes = self._handle_result(worker) if has_ended else self._handle_timeout(worker)
                        self._assign_next(worker)
                        yield from outcomes
        finally:
            for worker in self._workers:
                worker.kill()

    def _new(self, log: Path) -> WorkerHandle:
        return WorkerHandle(self._actor_class, log, self._place)

    def _wait(self, poll_seconds: float) -> list[tuple[WorkerHandle, bool]]:
        """Workers that have answered or died (True) or run out of time (False); none after `poll_seconds`."""
        pending = [worker.pending for worker in self._workers]
        deadline = min(time.monotonic() + poll_seconds, *(worker.deadline for worker in self._workers))
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
            worker.came_up(answer)
            return []
        outcome, memory_gb = answer
        worker.num_done += 1
        worker.is_spent = worker.num_done >= self._limits.recycle_after or memory_gb > self._limits.memory_limit_gb
        return [self._fail(worker, outcome.error, outcome.log) if isinstance(outcome, WorkError) else outcome]

    def _handle_death(self, worker: WorkerHandle, error: Exception) -> list[OutcomeT]:
        """Queue the item of a dead worker again, or fail it after its last attempt.

        A death with a node that was taken away after notice is no attempt.
        """
        if worker.attempt is None:
            self._start_deaths += 1
            if self._start_deaths >= MAX_START_DEATHS:
                raise RuntimeError(
                    f"{MAX_START_DEATHS} Ray workers in a row died at start: {error}\n{worker.log_tail()}"
                )
            return []
        is_counted = not (isinstance(error, RayActorError) and error.preempted)
        if not is_counted or worker.attempt.number < MAX_ATTEMPTS:
            self._queue.try_again(worker.attempt, is_counted=is_counted)
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
        """Give a worker the next item, in a fresh process where needed; remove idle workers when the queue is empty.

        A worker on a node that will be taken away gets none; the next process begins on another node.
        """
        if not worker.is_spent and self._queue.has_more() and worker.node not in draining_nodes():
            worker.start(self._work, self._queue.pop(), self._limits.time_limit)
        else:
            self._remove(worker)
            if self._queue.has_more():
                self._workers.append(self._new(worker.log))
        if not self._queue.has_more():
            for idle in [other for other in self._workers if other.attempt is None]:
                self._remove(idle)

    def _remove(self, worker: WorkerHandle) -> None:
        worker.kill()
        self._workers.remove(worker)

    def _fail(self, worker: WorkerHandle, error: str, log: str | None = None) -> OutcomeT:
        """Make the outcome of a worker's item that has failed, with the last lines of its log."""
        assert worker.attempt is not None
        attempt = worker.attempt
        lines = worker.log_tail() if log is None else log
        return self._failed(uid=attempt.job.uid, error=error, log=lines, attempts=attempt.number)
