"""Stage render-test: the test sets of sec. 5.2, with the ground-truth mesh of each object.

Sparse views: condition views c00.. and 32 targets t00.. whose first azimuth is that of c00 (aligned).
Ring: SyncDreamer's 16 views r00.. at one elevation; r00 is the condition image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import trimesh
from trimesh.exchange.ply import export_ply

from render.axes import UpAxis
from render.cameras import Camera
from render.config import RenderConfig
from render.device import Machine
from render.errors import Unrenderable
from render.passes import View
from render.placement import Placement, normalize_bounds
from render.quality_gates import Inspection, facts
from render.report import check_usable
from render.views import ViewKind, ring_cameras, sparse_test_cameras
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, open_manifest, require_some, seal
from tasks.artifacts.placements import read_placements
from tasks.artifacts.randomness import rng_for, share_of
from tasks.artifacts.resume import ItemStore, run_resumable
from tasks.artifacts.shards import OBJECTS_PER_SHARD
from tasks.artifacts.tables import OBJECTS, read_objects
from tasks.artifacts.test_set import true_mesh_path, write_test_set
from tasks.artifacts.views import MESH, seal_views, write_views
from tasks.config import NormalizeConfig, RenderTestConfig
from tasks.outcome import Done, Outcome, Rejected
from tasks.ports import Tools
from tasks.sources.archive import opened
from tasks.sources.folder import FolderObjects, find_objects
from tasks.sources.folder_table import read_folder_table
from tasks.sources.side_files import files_beside


@dataclass(frozen=True)
class TestRecipe:
    """Everything that decides what the test sets look like."""

    __test__ = False
    test: RenderTestConfig
    render: RenderConfig
    normalize: NormalizeConfig
    seed: int

    def cameras(self, uid: str) -> list[Camera]:
        """Return the cameras of an object: targets aligned to the first condition, conditions, ring."""
        rng = rng_for(self.seed, "render-test", uid)
        conditions, targets = sparse_test_cameras(
            self.render, conditions=self.test.conditions, azimuth=self.test.azimuth, rng=rng
        )
        ring = ring_cameras(
            views=self.test.ring_views,
            elevation_deg=self.test.ring_elevation_deg,
            fov_deg=self.test.ring_fov_deg,
            distance=self.test.ring_distance,
        )
        return [*targets, *conditions, *ring]

    def sizes(self, cameras: Sequence[Camera]) -> Iterator[tuple[Sequence[Camera], RenderConfig]]:
        """Yield the cameras, in order, in groups that are rendered at one size, and how to render each."""
        ring_side, side = self.test.ring_resolution or self.render.resolution, self.render.resolution
        sizes = [ring_side if camera.name.startswith(ViewKind.RING) else side for camera in cameras]
        for size, group in groupby(zip(sizes, cameras, strict=True), key=lambda pair: pair[0]):
            yield [camera for _, camera in group], self.render.model_copy(update={"resolution": size})

    def fingerprint(self) -> str:
        """Name the folder for unfinished work; items in it are keyed by their object."""
        pixels = self.render.pixel_settings()
        return fingerprint(self.test, pixels, self.normalize, self.seed)


@dataclass(frozen=True)
class TestObject:
    """One object to test on; without a placement it is measured on the spot (scans outside this run's catalog)."""

    __test__ = False
    uid: str
    sha256: str
    path: Path
    group: str
    placement: Placement | None
    up_axis: UpAxis | None = None
    """For an object without a placement."""
    others: tuple[Path, ...] = ()
    """Files and folders that it needs beside its own file."""

    @property
    def key(self) -> str:
        """What its views depend on, apart from the recipe."""
        placement = self.placement.as_json() if self.placement else {}
        return fingerprint(self.uid, self.sha256, self.group, placement, *filter(None, [self.up_axis]))


@dataclass(frozen=True)
class TestJob:
    """One test object and where its views go."""

    __test__ = False
    object: TestObject
    recipe: TestRecipe
    machine: Machine
    item: Path

    @property
    def uid(self) -> str:
        """Name of the object."""
        return self.object.uid

    @property
    def reads(self) -> Sequence[Path]:
        """The object."""
        return (self.object.path, *self.object.others)

    @property
    def writes(self) -> Sequence[Path]:
        """The item."""
        return (self.item,)

    @property
    def key(self) -> str:
        """What the object's views depend on, apart from the recipe."""
        return self.object.key


def render_test_sets(
    objects: Path,
    normalized: Path,
    config: RenderTestConfig,
    render: RenderConfig,
    normalize: NormalizeConfig,
    seed: int,
    out: Path,
    tools: Tools,
) -> None:
    """Render the test objects from the test cameras and write their placed meshes to `out/meshes`.

    Args:
        objects: Sealed folder of objects.
        normalized: Sealed folder of their placements.
        config: The section `render_test`.
        render: The section `render`; the test views are made like the training views.
        normalize: The section `normalize`, for scans that have no placement.
        seed: For the condition cameras and the renderer's noise.
        out: Becomes the sealed set of test views.
        tools: Of the stage.

    Raises RuntimeError when more than `max_failed_share` of the objects fail or none is left.
    """
    recipe = TestRecipe(config, render, normalize, seed)
    inputs = {
        "objects": open_manifest(objects, Kind.OBJECTS).fingerprint,
        "normalized": open_manifest(normalized, Kind.PLACEMENTS).fingerprint,
    }
    folder = tools.work / recipe.fingerprint()
    store = ItemStore(folder)
    machine = tools.worker_machine
    scans = find_objects(Path(config.folder).expanduser().absolute()) if config.source == "folder" else None
    chosen = choose_scans(scans, recipe) if scans else choose_objects(objects, normalized, recipe)
    jobs = [TestJob(test_object, recipe, machine, store.path(test_object.key)) for test_object in chosen]
    outcomes = run_resumable("render-test", render_test_object, jobs, tools, folder, store)
    if scans:
        outcomes += scans.turned_away
    check_failed_share("render-test", outcomes, config.max_failed_share)
    made = {row.uid for row in require_some("render-test", outcomes)}
    keys = {job.uid: job.key for job in jobs if job.uid in made}
    layout = store.lay_out([job.uid for job in jobs], OBJECTS_PER_SHARD)
    inputs |= {"recipe": recipe.fingerprint(), "items": fingerprint(keys, layout.of(keys))}
    seal_views(store.readers(keys), layout, out)
    write_test_set(out)
    for uid, key in keys.items():
        write_bytes(true_mesh_path(out, uid), store.members(uid, key)[MESH])
    seal(out, Kind.VIEWS, config=config, inputs=inputs, outcomes=outcomes)
    store.keep(out, keys, layout)


def choose_scans(scans: FolderObjects, recipe: TestRecipe) -> Iterator[TestObject]:
    """Yield the scans of a folder."""
    axes = read_folder_table(scans.root, scans.objects).up_axes
    for uid, path in scans.objects.items():
        others = files_beside(path, scans.root)
        digests = [sha256_of(file) for file in (path, *others)]
        up_axis = axes.get(uid, recipe.test.up_axis)
        yield TestObject(uid, fingerprint(*digests), path, "scan", None, up_axis, others)


def choose_objects(objects: Path, normalized: Path, recipe: TestRecipe) -> Iterator[TestObject]:
    """Yield the first training and held-out objects of this run by uid hash."""
    test = recipe.test
    placements = read_placements(normalized)
    rows = sorted(read_objects(objects / OBJECTS), key=lambda row: share_of(recipe.seed, "test", row.uid))
    for split, group, count in (("train", "train", test.train_objects), ("val", "held_out", test.held_out_objects)):
        members = [row for row in rows if row.split == split and row.uid in placements]
        for row in members[:count]:
            others = (row.all_files(objects),)
            yield TestObject(row.uid, row.sha256, row.path(objects), group, placements[row.uid], others=others)


def render_test_object(job: TestJob) -> Outcome:
    """Render one test object and export its mesh into its item; runs in a worker."""
    try:
        with opened(job.object.path) as path:
            return render_file(job, path)
    except Unrenderable as reason:
        return Rejected(job.uid, str(reason))


def render_file(job: TestJob, path: Path) -> Done:
    """Render the object in the file `path` and export its mesh.

    Raises Unrenderable when it cannot be used.
    """
    # Blender costs seconds and 200 MB to load: the workers pay, the stage's own process and --help do not
    from render.blender.objects import inspect, triangles
    from render.blender.views import render_views

    recipe, source = job.recipe, job.object
    cameras = recipe.cameras(job.uid)
    inspection = Inspection(recipe.render.gates, len(cameras))
    placement = source.placement
    if placement is None:
        report = inspect(path, source.up_axis)
        limits = recipe.normalize
        check_usable(
            report, max_faces=limits.max_faces, missing_texture=limits.missing_texture, enclosed=limits.enclosed
        )
        placement = normalize_bounds(report.minimum, report.maximum, limits.longest_side, source.up_axis)
    views: list[View] = []
    for group, config in recipe.sizes(cameras):
        taken = render_views(path, placement, group, config, uid=job.uid, seed=recipe.seed, machine=job.machine)
        views += inspection.watch(group, taken)
    mesh = export_ply(trimesh.Trimesh(*triangles(path, placement), process=False))
    write_views(job.item, cameras, views, {"placement": placement.as_json()}, {MESH: mesh})
    return Done(job.uid, {"group": source.group, "views": len(views), **facts(inspection.flags)})
