"""What stands in for the hub and for Blender in `tests.bench.scale`; all else is the stages' own."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from infra.execution.serial_pool import SerialPool
from render.passes import View
from render.placement import Placement
from render.views import condition_cameras, target_cameras
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.randomness import rng_for, share_of
from tasks.artifacts.tables import OBJECTS, SelectedEntry, write_selected
from tasks.artifacts.views import write_views
from tasks.config import SelectConfig
from tasks.normalize import NormalizeJob
from tasks.outcome import Done, Failed, Outcome
from tasks.ports import Job, Pool
from tasks.render import RenderJob
from tests.bench.peak_memory import peak_mib
from tests.tasks.hub import glb

GLB = glb()
"""A file that `download` takes for a GLB."""
SIDE = 8
"""Pixels of the simulated views."""
LINKS = 60_000
"""Items that share the bytes of one file; a file of ext4 has 65,000 names at most."""


class SimulatedHub:
    """A hub that answers at once, with the same few bytes for every object; a `tasks.ports.Store`."""

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:  # noqa: ARG002 of the Protocol
        """Write the file."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(GLB)


class SimulatingPool:
    """Does other work than the stage asks for, in `pool`, and counts it."""

    def __init__(self, work: Callable[[Any], Outcome], pool: Pool | None = None) -> None:
        self._work = work
        self._pool = pool or SerialPool[Outcome](failed=Failed)
        self.num_workers = self._pool.num_workers
        self.num_jobs = 0

    def run(self, work: Callable[[Any], Outcome], jobs: Sequence[Job]) -> Iterator[Outcome]:  # noqa: ARG002 simulated
        """Yield one outcome per job."""
        self.num_jobs += len(jobs)
        return self._pool.run(self._work, jobs)


def simulate_measuring(job: NormalizeJob) -> Outcome:
    """Say that an object has the size that it should have."""
    return Done(job.uid, {**Placement((0.0, 0.0, 0.0), 1.0).as_json(), "num_faces": 12})


def simulate_rendering(job: RenderJob) -> Outcome:
    """Leave an item of tiny views with the members of a real one, and what a worker takes of memory."""
    template, number = _template(job.item.parent.parent), _count()
    link = template if number % LINKS else _write_template(template, job)
    job.item.parent.mkdir(parents=True, exist_ok=True)
    os.link(link, job.item)
    if number % 1000 == 0:
        (template.parent / "worker-mib").write_text(str(peak_mib()))
    return Done(job.uid, {"split": job.split, "views": 42})


_counted = iter(range(1 << 62))


def _count() -> int:
    return next(_counted)


@lru_cache
def _template(folder: Path) -> Path:
    return folder / f"template-{os.getpid()}.tar"


def _write_template(path: Path, job: RenderJob) -> Path:
    cameras = [*target_cameras(job.config), *condition_cameras(job.config, rng_for(job.seed, "render", job.uid))]
    image = np.full((SIDE, SIDE, 4), 255, np.uint8)
    write_views(path, cameras, [View(image) for _ in cameras], {"placement": job.placement.as_json()})
    return path


def resident_mib() -> float:
    """Return the resident memory of this process, in MiB."""
    return float(psutil.Process().memory_info().rss) / 2**20


def write_selection(folder: Path, count: int, config: SelectConfig) -> Path:
    """Seal the objects 0 to `count` as `select` does; each is the same however many there are."""
    uids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(count)]
    write_selected(
        folder / OBJECTS,
        [
            SelectedEntry(
                uid=uid,
                location=f"glbs/000-{uid[:3]}/{uid}.glb",
                score=6.0,
                title="object",
                license="by",
                source="objaverse",
                split="val" if share_of("split", uid) < config.val_share else "train",
            )
            for uid in uids
        ],
    )
    seal(folder, Kind.SELECTED, config=config, inputs={"count": str(count)})
    return folder
