"""Renders a few objects of a folder at once and shows what the stages would make of them on one contact sheet."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from render.axes import UpAxis
from render.cameras import Camera
from render.config import RenderConfig
from render.device import Machine
from render.errors import Unrenderable
from render.formats import format_of
from render.images import Rgba, encode_png
from render.placement import normalize_bounds
from render.quality import NAMED
from render.quality_gates import Inspection, facts
from render.report import check_usable
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.randomness import share_of
from tasks.commands.look_options import LookOptions
from tasks.commands.look_sheet import Row, draw_sheet
from tasks.config import NormalizeConfig
from tasks.outcome import Done, Failed, Json, Outcome, Rejected
from tasks.ports import Pool
from tasks.report.words import counted
from tasks.sources.archive import opened
from tasks.sources.folder import find_objects
from tasks.sources.folder_table import read_folder_table
from tasks.sources.side_files import files_beside

SIDE = 192
AZIMUTHS_DEG = (270, 0, 90, 180)
"""Front, right, back and left of an object whose front is where its format has it."""
ELEVATION_DEG = 20


@dataclass(frozen=True)
class LookJob:
    """One object to show."""

    uid: str
    path: Path
    up_axis: UpAxis | None
    normalize: NormalizeConfig
    render: RenderConfig
    machine: Machine
    views: Path
    """Where the images go, (V, H, W, 4)."""

    root: Path
    """The folder that is looked at."""

    @property
    def key(self) -> str:
        """The uid: nothing is kept."""
        return self.uid

    @property
    def reads(self) -> Sequence[Path]:
        """The object, with the files that it refers to below the folder."""
        return (self.path, *files_beside(self.path, self.root))

    @property
    def writes(self) -> Sequence[Path]:
        """The images."""
        return (self.views,)


def look_at_folder(
    options: LookOptions,
    up_axis: UpAxis | None,
    normalize: NormalizeConfig,
    render: RenderConfig,
    pool: Pool,
    machine: Machine,
    work: Path,
) -> Iterator[str]:
    """Write a contact sheet of some objects of a folder and yield a line about each, then one about the sheet.

    Args:
        options: What to show and where to.
        up_axis: Of the objects that the folder's scores.csv says nothing about; None: the formats'.
        normalize: The section of that name; what it rejects is said, with the reason.
        render: The section of that name; views are smaller and of draft quality, light and gates are its own.
        pool: Renders; an object that takes its process down costs itself.
        machine: Of a worker.
        work: Folder that every worker sees, for images until they are on the sheet.

    Raises ValueError when the folder holds no object or lacks one of `options.uid`.
    """
    root = options.folder.expanduser()
    found = find_objects(root)
    paths, axes = choose(found.objects, options), read_folder_table(root, found.objects).up_axes
    draft = render.model_copy(update={"resolution": SIDE, "quality": NAMED["draft"], "passes": ()})
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        jobs = {
            uid: LookJob(
                uid, path, axes.get(uid, up_axis), normalize, draft, machine, Path(folder) / f"{uid}.npy", root
            )
            for uid, path in paths.items()
        }
        rows = [Row(row.uid, f"rejected: {row.reason}", (), ()) for row in found.turned_away[: options.num]]
        yield from (row.text for row in rows)
        for outcome in pool.run(look_at_object, list(jobs.values())):
            row = describe(jobs[outcome.uid], outcome, root)
            yield row.text
            rows.append(row)
        rows.sort(key=lambda row: (not row.images, row.title))
        sheet = draw_sheet(rows, num_columns=len(AZIMUTHS_DEG), side=SIDE)
    write_bytes(options.out, encode_png(sheet))
    yield f"{options.out}: {len(paths)} of {counted(len(found.objects), 'object')}"


def choose(paths: Mapping[str, Path], options: LookOptions) -> dict[str, Path]:
    """Return the objects that `options` names, or the first `num` by uid hash, a fair sample; sorted by uid.

    Raises ValueError for a uid that the folder does not have.
    """
    for uid in options.uid or []:
        if uid not in paths:
            raise ValueError(f"{options.folder} has no object {uid!r}; it has {', '.join(sorted(paths)[:5])}, ...")
    chosen = options.uid or sorted(paths, key=lambda uid: share_of("look", uid))[: options.num]
    return {uid: paths[uid] for uid in sorted(chosen)}


def look_at_object(job: LookJob) -> Outcome:
    """Measure and render one object as normalize and render do; runs in a worker."""
    try:
        with opened(job.path) as path:
            return look_at_file(job, path)
    except Unrenderable as reason:
        return Rejected(job.uid, str(reason))


def look_at_file(job: LookJob, path: Path) -> Done:
    """Measure and render the object in the file `path`.

    Raises Unrenderable when there is nothing to show.
    """
    # Blender costs seconds and 200 MB to load: the workers pay, the command's own process and --help do not
    from render.blender.objects import inspect
    from render.blender.views import render_views

    limits, fault = job.normalize, None
    farthest = job.render.condition_distance[1]  # so that a cube is seen whole
    cameras = [
        Camera(f"azimuth {azimuth}", azimuth, ELEVATION_DEG, farthest, job.render.fov_deg) for azimuth in AZIMUTHS_DEG
    ]
    inspection = Inspection(job.render.gates, len(cameras))
    report = inspect(path, job.up_axis)
    check_usable(report, max_faces=limits.max_faces, missing_texture="keep", enclosed="keep")
    placement = normalize_bounds(report.minimum, report.maximum, limits.longest_side, job.up_axis)
    views = list(render_views(path, placement, cameras, job.render, uid=job.uid, seed=0, machine=job.machine))
    np.save(job.views, np.stack([view.rgba for view in views]))
    try:
        check_usable(
            report, max_faces=limits.max_faces, missing_texture=limits.missing_texture, enclosed=limits.enclosed
        )
        list(inspection.watch(cameras, views))
    except Unrenderable as reason:
        fault = str(reason)
    known: dict[str, Json] = {"num_faces": report.num_faces, "missing": [*report.missing_textures], "fault": fault}
    return Done(job.uid, {**known, **facts(inspection.flags)})


def describe(job: LookJob, outcome: Outcome, root: Path) -> Row:
    """Return what the sheet shows of an object."""
    by_format = format_of(job.path).up_axis
    axis = f"up {job.up_axis or by_format}" if job.up_axis or by_format else "up as the file says"
    axis += " (the format's)" if by_format and not job.up_axis else ""
    title = f"{job.uid}: {job.path.relative_to(root).as_posix()}, {axis}"
    match outcome:
        case Rejected():
            return Row(title, f"rejected: {outcome.reason}", (), ())
        case Failed():
            return Row(title, f"failed: {outcome.error}", (), ())
    images: tuple[Rgba, ...] = tuple(np.load(job.views))
    labels = tuple(f"azimuth {azimuth}" for azimuth in AZIMUTHS_DEG)
    return Row(f"{title}, {outcome.facts['num_faces']} faces", verdict(outcome), images, labels)


def verdict(done: Done) -> str:
    """Return in words what would become of a rendered object; empty when nothing is wrong with it."""
    notes = []
    fault, missing = done.facts["fault"], done.facts["missing"]
    if fault:
        notes.append(f"rejected: {fault}")
    elif isinstance(missing, list) and missing:
        notes.append(f"missing textures, in magenta: {', '.join(map(str, missing))}")
    flags = done.facts.get("flags")
    if isinstance(flags, dict):
        notes += [f"{gate} in {', '.join(map(str, views))}" for gate, views in flags.items() if isinstance(views, list)]
    return "; ".join(notes)
