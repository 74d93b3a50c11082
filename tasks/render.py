"""Stage render: every view of every object, spread over the pool's workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from render.config import RenderConfig
from render.device import Machine
from render.errors import Unrenderable
from render.placement import Placement
from render.quality_gates import Inspection, facts
from render.views import condition_cameras, target_cameras
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, open_manifest, require_some, seal
from tasks.artifacts.placements import read_placements
from tasks.artifacts.randomness import rng_for
from tasks.artifacts.resume import ItemStore, run_resumable
from tasks.artifacts.tables import OBJECTS, read_objects
from tasks.artifacts.views import seal_views, write_views
from tasks.given_views.archive import GIVEN
from tasks.given_views.conditions import GivenConditions, given_conditions
from tasks.outcome import Done, Json, Outcome, Rejected
from tasks.ports import Tools


@dataclass(frozen=True)
class RenderJob:
    """One object to render."""

    uid: str
    key: str
    path: Path
    files: Path
    """The same, or the folder that all files of the object lie in."""
    placement: Placement
    split: str
    config: RenderConfig
    seed: int
    machine: Machine
    item: Path
    """Where the views go."""

    @property
    def given(self) -> Path | None:
        """The views that the object brings along, where they are wanted."""
        path = self.files / GIVEN
        return path if self.config.given_views == "conditions" and path.is_file() else None

    @property
    def reads(self) -> Sequence[Path]:
        """The object."""
        return (self.files,)

    @property
    def writes(self) -> Sequence[Path]:
        """The item."""
        return (self.item,)


def render_objects(objects: Path, normalized: Path, config: RenderConfig, seed: int, out: Path, tools: Tools) -> None:
    """Render the training views of every placed object (sec. 5.1); a failure is recorded in the ledger.

    Args:
        objects: Sealed folder of objects.
        normalized: Sealed folder of their placements.
        config: The section `render`.
        seed: For the condition cameras and the renderer's noise.
        out: Becomes the sealed set of views.
        tools: Of the stage.

    Raises RuntimeError when more than `max_failed_share` of the objects fail or none is left.
    """
    inputs = {
        "objects": open_manifest(objects, Kind.OBJECTS).fingerprint,
        "normalized": open_manifest(normalized, Kind.PLACEMENTS).fingerprint,
    }
    folder = tools.work / fingerprint(config.pixel_settings(), seed)
    store = ItemStore(folder)
    jobs = _jobs(objects, read_placements(normalized), config, seed, store, tools.worker_machine)
    outcomes = run_resumable("render", render_object, jobs, tools, folder, store)
    check_failed_share("render", outcomes, config.max_failed_share)
    made = {row.uid for row in require_some("render", outcomes)}
    keys = {job.uid: job.key for job in jobs if job.uid in made}
    layout = store.lay_out([job.uid for job in jobs], config.objects_per_shard)
    inputs["items"] = fingerprint(keys, layout.of(keys))
    seal_views(store.readers(keys), layout, out, store.unchanged(keys, layout), store.releasing(keys))
    seal(out, Kind.VIEWS, config=config, inputs=inputs, outcomes=outcomes)
    store.keep(out, keys, layout)


def render_object(job: RenderJob) -> Outcome:
    """Render one object's views into its item; runs in a worker."""
    # Blender costs seconds and 200 MB to load: the workers pay, the stage's own process and --help do not
    from render.blender.views import render_views

    rng = rng_for(job.seed, "render", job.uid)
    own = [*target_cameras(job.config), *condition_cameras(job.config, rng)]
    try:
        given = _given(job)
        replaced = {camera.name for camera in given.cameras}
        rendered = [camera for camera in own if camera.name not in replaced]
        inspection = Inspection(job.config.gates, len(own))
        taken = render_views(
            job.path, job.placement, rendered, job.config, uid=job.uid, seed=job.seed, machine=job.machine
        )
        cameras = [*rendered, *given.cameras]
        views = list(inspection.watch(cameras, chain(taken, given.views)))
    except Unrenderable as reason:
        return Rejected(job.uid, str(reason))
    places = {camera.name: place for place, camera in enumerate(own)}
    order = sorted(range(len(cameras)), key=lambda index: places[cameras[index].name])
    cameras, views = [cameras[index] for index in order], [views[index] for index in order]
    write_views(job.item, cameras, views, {"placement": job.placement.as_json()})
    brought: dict[str, Json] = {} if job.given is None else {"given_views": len(given.views)}
    brought |= {"given_views_note": given.note} if given.note else {}
    return Done(job.uid, {"split": job.split, "views": len(views), **brought, **facts(inspection.flags)})


def _given(job: RenderJob) -> GivenConditions:
    """Return the condition views that the object brings along, where they are wanted."""
    # Blender costs seconds and 200 MB to load: only workers come here
    from render.blender.objects import triangles

    if job.given is None:
        return GivenConditions()
    vertices, faces = triangles(job.path, job.placement)
    return given_conditions(
        job.given, (vertices.astype(np.float64), faces), job.config, rng_for(job.seed, "given-views", job.uid)
    )


def _jobs(
    objects: Path,
    placements: Mapping[str, Placement],
    config: RenderConfig,
    seed: int,
    store: ItemStore,
    machine: Machine,
) -> list[RenderJob]:
    jobs = []
    for row in read_objects(objects / OBJECTS):
        if row.uid in placements:
            placement = placements[row.uid]
            key = fingerprint(row.uid, row.sha256, row.split, placement.as_json())
            jobs.append(
                RenderJob(
                    uid=row.uid,
                    key=key,
                    path=row.path(objects),
                    files=row.all_files(objects),
                    placement=placement,
                    split=row.split,
                    config=config,
                    seed=seed,
                    machine=machine,
                    item=store.path(key),
                )
            )
    return jobs
