"""Brings jobs from the queue through the workers: batched, bounded, told of, and stopped gracefully."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from tasks.commands.sampler import SampledViews, SampleSettings
from tasks.commands.service.batches import BatchQueue
from tasks.commands.service.jobs import VIEWS, Asked, Job, JobStore, Status

ATTEMPTS = 2
"""Times that a job is sampled when the worker dies meanwhile."""
FIRST_GUESS = 5.0
"""Seconds that a job takes, before one has been measured."""
MEMORY = 0.3
"""Weight of the newest measurement in the running mean."""


class Workers(Protocol):
    """The processes that compute.

    They raise ConnectionError when one of them dies, and what the work itself raises.
    """

    def sample(
        self, objects: Sequence[Sequence[Image.Image]], settings: SampleSettings, seeds: Sequence[int]
    ) -> AsyncIterator[tuple[int, int] | list[SampledViews]]:
        """Sample objects together; yield the number of each step with that of all steps, at last the views."""
        ...

    async def finish(self, out: Path, photos: Sequence[Image.Image], sampled: SampledViews, asked: Asked) -> None:
        """Write the views of one object with turntables and mesh into the new folder `out`, and an archive beside."""
        ...


@dataclass(frozen=True)
class Bounds:
    """How much the service does at once."""

    batch: int
    """Objects that are sampled together, at most."""
    batch_wait: float
    """Seconds that a request waits for others to join it."""
    unfinished: int
    """Requests that are taken and not done, at most."""
    samplers: int
    """Batches that are sampled at the same time."""


class FullError(Exception):
    """No more requests are taken for now."""

    def __init__(self, sentence: str, retry_after: int) -> None:
        """Say why, and after how many seconds another try is worth it."""
        super().__init__(sentence)
        self.retry_after = retry_after


class Engine:
    """The jobs of a service on one event loop.

    Args:
        workers: They compute.
        store: Keeps the jobs.
        bounds: How much is done at once.
    """

    def __init__(self, workers: Workers, store: JobStore, bounds: Bounds) -> None:
        self._workers, self.store, self._bounds = workers, store, bounds
        self._queue = BatchQueue[Job](bounds.batch, bounds.batch_wait)
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()
        self._num_changes = 0
        self._seconds = FIRST_GUESS
        self.is_stopping = False

    def start(self) -> None:
        """Begin to work on what is submitted; call it in the event loop."""
        for _ in range(self._bounds.samplers):
            self._spawn(self._serve())

    def check_room(self) -> None:
        """Raise FullError unless another request would be taken."""
        waiting = len(self.store.unfinished())
        if self.is_stopping:
            raise FullError("the service is stopping and takes no more requests; ask again when it is back", 30)
        if waiting >= self._bounds.unfinished:
            after = math.ceil(self._seconds)
            raise FullError(
                f"{waiting} requests are waiting, and no more than {self._bounds.unfinished} are taken; ask again in "
                f"{after} seconds",
                after,
            )

    async def submit(self, asked: Asked) -> Job:
        """Take a request. Raises FullError where there is no room."""
        self.check_room()
        job = self.store.add(asked)
        await self._queue.put(asked.key, job)
        return job

    def position(self, job: Job) -> int | None:
        """Return how many jobs come before one; None where it does not wait."""
        return self._queue.position(job)

    async def withdraw(self, job: Job) -> bool:
        """Forget a job that waits or is over; returns whether it was. One that is being computed is left alone."""
        if not (job.is_over or self._queue.remove(job)):
            return False
        if not job.is_over:
            job.end(Status.FAILED, "the request was withdrawn")
        self.store.forget(job)
        await self._tell()
        return True

    async def follow(self, job: Job) -> AsyncIterator[None]:
        """Yield now and after every change of any job, until this one is over."""
        while True:
            seen, is_over = self._num_changes, job.is_over
            yield
            if is_over:
                return
            async with self._news:
                await self._news.wait_for(lambda seen=seen: self._num_changes != seen)  # type: ignore[misc]

    async def stop(self, seconds: float) -> None:
        """Take no more requests, refuse those that wait, and give those under way some seconds to end."""
        self.is_stopping = True
        for job in self.store.unfinished():
            if self._queue.remove(job):
                job.end(Status.FAILED, "the service was stopped before this request's turn; ask again when it is back")
        await self._tell()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: not self.store.unfinished())
        for job in self.store.unfinished():
            job.end(Status.FAILED, f"the service was stopped, and {seconds:g} seconds were too short to finish this")
        await self._tell()
        for task in self._tasks:
            task.cancel()

    async def _serve(self) -> None:
        while True:
            jobs = await self._queue.take()
            try:
                views = await self._sample(jobs)
            except ConnectionError as error:
                await self._try_again(jobs, error)
                continue
            except Exception as error:  # noqa: BLE001  the boundary of a worker process: it becomes the jobs' record
                await self._fail(jobs, f"sampling failed: {_first_line(error)}")
                continue
            for job, sampled in zip(jobs, views, strict=True):
                self._spawn(self._finish(job, sampled))

    async def _sample(self, jobs: Sequence[Job]) -> list[SampledViews]:
        for job in jobs:
            job.status, job.batch, job.attempts = Status.SAMPLING, len(jobs), job.attempts + 1
        await self._tell()
        began = asyncio.get_running_loop().time()
        views: list[SampledViews] = []
        asked = [job.asked for job in jobs]
        steps = self._workers.sample([one.photos for one in asked], asked[0].settings, [one.seed for one in asked])
        async for news in steps:
            if isinstance(news, list):
                views = news
                continue
            for job in jobs:
                job.step, job.steps = news
            await self._tell()
        now = asyncio.get_running_loop().time()
        self._seconds += MEMORY * ((now - began) / len(jobs) - self._seconds)
        return views

    async def _finish(self, job: Job, sampled: SampledViews) -> None:
        job.status = Status.FINISHING
        job.sampled_after = asyncio.get_running_loop().time() - job.came
        await self._tell()
        try:
            await self._workers.finish(job.folder / VIEWS, job.asked.photos, sampled, job.asked)
        except OSError as error:
            sentence = f"the views cannot be written ({error.strerror or _first_line(error)}): its disk needs space"
            await self._fail([job], sentence)
        except Exception as error:  # noqa: BLE001  the boundary of a worker process: it becomes the job's record
            await self._fail([job], f"making turntables and mesh failed: {_first_line(error)}")
        else:
            if not job.is_over:
                job.end(Status.DONE)
            await self._tell()

    async def _try_again(self, jobs: Sequence[Job], error: Exception) -> None:
        """Put jobs whose worker died back to the front of the queue, or give them up."""
        for job in reversed(jobs):
            if job.attempts < ATTEMPTS and not self.is_stopping:
                job.status, job.step = Status.QUEUED, 0
                await self._queue.put(job.asked.key, job, first=True)
            else:
                times = "once" if job.attempts == 1 else f"{job.attempts} times"
                await self._fail([job], f"the process that samples died {times} ({_first_line(error)})")
        await self._tell()

    async def _fail(self, jobs: Sequence[Job], sentence: str) -> None:
        for job in jobs:
            if not job.is_over:
                job.end(Status.FAILED, sentence)
        await self._tell()

    async def _tell(self) -> None:
        self._num_changes += 1
        async with self._news:
            self._news.notify_all()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
