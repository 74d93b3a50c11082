"""One worker process of the Ray pool, seen from inside (`Worker`) and from the driver (`WorkerHandle`)."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray

from infra.execution.worker_log import Job, WorkError, attempt, capture_output, size, tail

START_LIMIT = 600.0
"""Seconds a process may take to come up; a cluster that grows by itself needs minutes."""


class Worker:
    """The Ray actor. Calls run one at a time in the process's main thread: off it, Blender crashes."""

    def __init__(self, root: str, log: str) -> None:
        os.chdir(root)
        capture_output(Path(log))

    def come_up(self) -> None:
        """Return as soon as the process is ready for work."""

    def do(self, work: Callable[[Any], Any], job: Job) -> tuple[Any, float]:
        """Return the outcome, or WorkError, and this process's resident memory in GB afterwards."""
        print(f"=== {job.uid}", flush=True)  # noqa: T201 stdout is this worker's log
        answer = attempt(work, job)
        if isinstance(answer, WorkError):
            print(answer.trace, flush=True)  # noqa: T201
        return answer, resident_gb()


def resident_gb() -> float:
    """Return the resident memory of this process in GB (2**30 bytes)."""
    return float(psutil.Process().memory_info().rss) / 2**30


@dataclass(frozen=True)
class Attempt:
    """A job and which attempt at it this is, from 1."""

    job: Job
    number: int


class WorkerHandle:
    """A worker process as the driver sees it: its item, its deadline and its log. Making one starts the process."""

    def __init__(self, actor_class: Any, log: Path) -> None:
        self.log = log
        self.attempt: Attempt | None = None
        self.num_done = 0
        self.is_spent = False
        self._log_start = size(log)
        self._actor = actor_class.remote(str(Path.cwd()), str(log.absolute()))
        self.pending = self._actor.come_up.remote()
        self.deadline = time.monotonic() + START_LIMIT

    def start(self, work: Callable[[Any], Any], attempt: Attempt, limit: float) -> None:
        """Start an attempt, which may last `limit` seconds."""
        self._log_start = size(self.log)
        self.attempt = attempt
        self.pending = self._actor.do.remote(work, attempt.job)
        self.deadline = time.monotonic() + limit

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        ray.kill(self._actor, no_restart=True)

    def log_tail(self) -> str:
        """Return the last lines printed since the present attempt, or else the process, began."""
        return tail(self.log, self._log_start)
