"""One worker process of the Ray pool, seen from inside (`Worker`) and from the driver (`Hand`)."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.execution.worker_log import Job, WorkError, attempt, capture_output, size, tail

START_LIMIT = 600.0
"""Seconds a process may take to come up; a cluster that grows by itself needs minutes."""


class Worker:
    """The Ray actor. Calls run one at a time in the process's main thread: off it, Blender crashes."""

    def __init__(self, root: str, log: str) -> None:
        os.chdir(root)
        capture_output(Path(log))

    def come_up(self) -> None:
        """Answers as soon as the process is ready for work."""

    def do(self, work: Callable[[Any], Any], job: Job) -> tuple[Any, float]:
        """Return the outcome, or WorkError, and this process's resident memory in GB afterwards."""
        print(f"=== {job.uid}", flush=True)  # noqa: T201 stdout is this worker's log
        answer = attempt(work, job)
        if isinstance(answer, WorkError):
            print(answer.trace, flush=True)  # noqa: T201
        return answer, resident_gb()


def resident_gb() -> float:
    """Resident memory of this process in GB (2**30 bytes)."""
    return float(psutil.Process().memory_info().rss) / 2**30


@dataclass(frozen=True)
class Attempt:
    """A job and which attempt at it this is, from 1."""

    job: Job
    number: int


class WorkerHandle:
    """One worker process: what it has in hand, since when, and where it writes. Starts the process at once."""

    def __init__(self, actor_class: Any, log: Path) -> None:
        self.log = log
        self.attempt: Attempt | None = None
        self.num_done = 0
        self.is_spent = False
        self._log_start = size(log)
        self._actor = actor_class.remote(str(Path.cwd()), str(log.absolute()))
        self.pending = self._actor.come_up.remote()
        self.due = time.monotonic() + START_LIMIT

    def take(self, work: Callable[[Any], Any], attempt: Attempt, limit: float) -> None:
        """Begin an attempt that may last `limit` seconds."""
        self._log_start = size(self.log)
        self.attempt = attempt
        self.pending = self._actor.do.remote(work, attempt.job)
        self.due = time.monotonic() + limit

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        import ray

        ray.kill(self._actor, no_restart=True)

    def last_words(self) -> str:
        """The last lines printed since the present attempt, or the process, began."""
        return tail(self.log, self._log_start)
