"""One worker process of the Ray pool, seen from inside (`Worker`) and from the driver (`WorkerHandle`)."""

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from infra.execution.node_work import node_folder
from infra.execution.parcels import NodePlace
from infra.execution.worker_log import Job, WorkError, attempt, capture_output, size, tail

START_LIMIT = 600.0
"""Seconds a process may take to come up; a cluster that grows by itself needs minutes."""
TAIL_LIMIT = 60.0
"""Seconds to wait for the log of a process that has died on a node with a disk of its own."""


@dataclass(frozen=True)
class WorkerLog:
    """Where a worker prints to."""

    path: str
    """Absolute; on the node."""
    node: str
    """Ray's name of it."""
    host: str

    def read(self, uid: str) -> str:
        """Ask the node for the last lines about an item, or say where they are."""
        where = NodeAffinitySchedulingStrategy(self.node, soft=False)
        try:
            answer = read_tail.options(scheduling_strategy=where).remote(self.path, uid)
            return str(ray.get(answer, timeout=TAIL_LIMIT))
        except RayError:
            return f"the log is {self.path} on {self.host}, which does not answer"


@ray.remote(num_cpus=0, max_retries=0)
def read_tail(path: str, uid: str) -> str:
    """Return the last lines of a log about an item; runs on the node of the log."""
    return tail(Path(path), 0).rpartition(f"{begin(uid)}\n")[2]


def begin(uid: str) -> str:
    """Return the line with which a log begins to tell of an item."""
    return f"=== {uid}"


class Worker:
    """The Ray actor. Calls run one at a time in the process's main thread: off it, Blender crashes."""

    def __init__(self, root: str, log: str, place: NodePlace | None) -> None:
        """Go to the folder `root`, or to the node's own where it has a `place`; a relative `log` lies there."""
        folder = node_folder(place) if place else Path(root)
        os.chdir(folder)
        self._log = folder / log
        capture_output(self._log)

    def come_up(self) -> WorkerLog:
        """Return as soon as the process is ready for work."""
        return WorkerLog(str(self._log), ray.get_runtime_context().get_node_id(), socket.gethostname())

    def do(self, work: Callable[[Any], Any], job: Job) -> tuple[Any, float]:
        """Return the outcome, or WorkError, and this process's resident memory in GB afterwards."""
        start = size(self._log)
        print(begin(job.uid), flush=True)  # noqa: T201 stdout is this worker's log
        answer = attempt(work, job)
        if isinstance(answer, WorkError):
            print(answer.trace, flush=True)  # noqa: T201
            answer = WorkError(answer.error, answer.trace, tail(self._log, start))
        return answer, resident_gb()


def resident_gb() -> float:
    """Return the resident memory of this process in GB (2**30 bytes)."""
    return float(psutil.Process().memory_info().rss) / 2**30


@dataclass(frozen=True)
class Attempt:
    """A job and which attempt at it this is, from 1."""

    job: Job
    number: int


class AttemptQueue:
    """What is still to be done: jobs, which are asked for one by one, then those that are tried again."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)
        self._next: Attempt | None = None
        self._again: deque[Attempt] = deque()

    def has_more(self) -> bool:
        """Whether there is anything; takes the next of the jobs to know."""
        if self._next is None and (job := next(self._jobs, None)) is not None:
            self._next = Attempt(job, 1)
        return self._next is not None or bool(self._again)

    def pop(self) -> Attempt:
        """Take out what is next, of which there must be something."""
        assert self.has_more()
        taken, self._next = self._next, None
        return taken or self._again.popleft()

    def try_again(self, attempt: Attempt, *, is_counted: bool = True) -> None:
        """Put an attempt's job behind all the others; `is_counted`: whether the item may have been at fault."""
        self._again.append(Attempt(attempt.job, attempt.number + is_counted))


class WorkerHandle:
    """A worker process as the driver sees it: its item, its deadline and its log. Making one starts the process."""

    def __init__(self, actor_class: Any, log: Path, place: NodePlace | None = None) -> None:
        """Start a process that prints to `log`, which lies in its node's own folder where it has a `place`."""
        self.log = log
        self.attempt: Attempt | None = None
        self.num_done = 0
        self.is_spent = False
        self._place = place
        self._remote_log: WorkerLog | None = None
        self._log_start = size(log)
        self._actor = actor_class.remote(str(Path.cwd()), str(log if place else log.absolute()), place)
        self.pending = self._actor.come_up.remote()
        self.deadline = time.monotonic() + START_LIMIT

    @property
    def node(self) -> str | None:
        """Ray's name of the node that the process runs on; None before it has come up."""
        return self._remote_log.node if self._remote_log else None

    def came_up(self, log: WorkerLog) -> None:
        """Note where the process prints to."""
        self._remote_log = log

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
        if self._place is None:
            return tail(self.log, self._log_start)
        if self._remote_log is None:
            return ""
        return self._remote_log.read(self.attempt.job.uid if self.attempt else "")
