"""Requests that the service has taken: what is asked for, how far each is, and how long its results are kept."""

import secrets
import shutil
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from PIL import Image

from tasks.commands.sampler import SampleSettings

VIEWS, ARCHIVE = "views", "views.zip"


class Status(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    SAMPLING = "sampling"
    FINISHING = "finishing"
    """Turntables and mesh are being made."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    photos: list[Image.Image]
    """Cut out, RGBA."""
    settings: SampleSettings
    seed: int
    notes: list[str]
    """A sentence about each photo that is not used or may spoil the views."""
    has_mesh: bool = True
    """A mesh is wanted, which on a processor takes longer than the views."""

    @property
    def key(self) -> Hashable:
        """Requests of equal keys can be sampled together."""
        return len(self.photos), self.settings


@dataclass(eq=False)
class Job:
    """One request and what became of it."""

    asked: Asked
    folder: Path
    """Takes its results."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    """Names it to whoever asked, and cannot be guessed by others."""
    status: Status = Status.QUEUED
    step: int = 0
    steps: int = 0
    batch: int = 0
    """Objects that are sampled together with it, itself included."""
    attempts: int = 0
    errors: list[str] = field(default_factory=list)
    came: float = field(default_factory=time.monotonic)
    sampled_after: float = 0.0
    """Seconds from the request to the last step."""
    ended: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in (Status.DONE, Status.FAILED)

    def end(self, status: Status, *errors: str) -> None:
        """Note that it is over."""
        self.status, self.errors, self.ended = status, list(errors), time.monotonic()

    def files(self) -> list[str]:
        """Return the names of its results, the archive of all of them first."""
        if self.status != Status.DONE:
            return []
        views = self.folder / VIEWS
        names = sorted(path.relative_to(views).as_posix() for path in views.rglob("*") if path.is_file())
        return [ARCHIVE, *names]

    def file(self, name: str) -> Path | None:
        """Return one of its results; None: there is none of that name."""
        if name not in self.files():
            return None
        return self.folder / (ARCHIVE if name == ARCHIVE else f"{VIEWS}/{name}")

    def described(self, position: int | None) -> dict[str, Any]:
        """Return what its owner is told; `position` is its place in the queue, 0 the next."""
        now = self.ended or time.monotonic()
        return {
            "id": self.id,
            "status": str(self.status),
            "position": position,
            "step": self.step,
            "steps": self.steps,
            "batch": self.batch,
            "seconds": round(now - self.came, 3),
            "sampled_after": round(self.sampled_after, 3),
            "notes": self.asked.notes,
            "errors": self.errors,
            "files": self.files(),
        }


class JobStore:
    """The jobs in memory; results of old ones are deleted.

    Args:
        folder: Takes a folder for each job.
        keep_seconds: How long a job is kept after its end.
        max_kept: Jobs that are over and kept, at most.
    """

    def __init__(self, folder: Path, keep_seconds: float, max_kept: int = 1000) -> None:
        self._folder, self._keep_seconds, self._max_kept = folder, keep_seconds, max_kept
        self._jobs: dict[str, Job] = {}

    def add(self, asked: Asked) -> Job:
        """Make a job of a request, and forget those that are too old."""
        self.forget_old()
        job = Job(asked, self._folder)
        job.folder = self._folder / job.id
        self._jobs[job.id] = job
        return job

    def get(self, name: str) -> Job | None:
        """Return a job; None: there is no such one, or no more."""
        self.forget_old()
        return self._jobs.get(name)

    def unfinished(self) -> list[Job]:
        """Return the jobs that are not over, the oldest first."""
        return [job for job in self._jobs.values() if not job.is_over]

    def forget(self, job: Job) -> None:
        """Delete a job with its results."""
        self._jobs.pop(job.id, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def forget_old(self) -> None:
        """Delete the jobs whose time is over, and the oldest of too many."""
        over = sorted((job for job in self._jobs.values() if job.ended is not None), key=lambda job: job.ended or 0)
        now = time.monotonic()
        for index, job in enumerate(over):
            if now - (job.ended or now) > self._keep_seconds or len(over) - index > self._max_kept:
                self.forget(job)
