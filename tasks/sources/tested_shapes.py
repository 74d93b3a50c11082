"""Measures the shapes of the objects that test sets from outside show, from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from render.errors import Unrenderable
from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import fingerprint
from tasks.artifacts.resume import run_resumable
from tasks.artifacts.shapes import Shapes, shape_as_text, shape_of_text
from tasks.config import GsoEvalConfig, RenderTestConfig
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.ports import Tools
from tasks.sources.archive import opened
from tasks.sources.folder import find_objects
from tasks.sources.gso_layout import MODEL, find_gso_objects
from tasks.sources.side_files import files_beside


@dataclass(frozen=True)
class ShapeJob:
    """A test object to measure."""

    uid: str
    key: str
    """Name and content; empty where there is no file."""
    path: Path
    others: tuple[Path, ...] = ()
    """Files that its own file needs."""

    @property
    def reads(self) -> Sequence[Path]:
        """The object."""
        return (self.path, *self.others)

    @property
    def writes(self) -> Sequence[Path]:
        """Nothing but the outcome."""
        return ()


@dataclass(frozen=True)
class TestedShapes:
    """What is known of the shapes of test objects."""

    __test__ = False
    shapes: Shapes
    unknown: Mapping[str, str]
    """Objects without a mesh that can be read, with the reason."""


def measure_tested(render_test: RenderTestConfig | None, gso_eval: GsoEvalConfig | None, tools: Tools) -> TestedShapes:
    """Measure the objects of `gso_eval.folder`, and of `render_test.folder` where that is the source.

    What was measured is kept and found again by the content of the file.

    Raises ValueError for a folder that is none.
    """
    jobs = {} if gso_eval is None else _gso_jobs(Path(gso_eval.folder).expanduser())
    if render_test is not None and render_test.source == "folder":
        scans = _scan_jobs(Path(render_test.folder).expanduser().absolute())
        jobs |= {
            job.uid: job for job in (replace(one, uid=f"{one.uid}-scan") if one.uid in jobs else one for one in scans)
        }
    unknown = {uid: f"there is no {job.path.name}" for uid, job in jobs.items() if not job.key}
    outcomes = _outcomes([job for job in jobs.values() if job.key], tools)
    found = {row.uid: shape_of_text(str(row.facts["shape"])) for row in outcomes if isinstance(row, Done)}
    unknown |= {row.uid: row.reason for row in outcomes if isinstance(row, Rejected)}
    unknown |= {row.uid: row.error for row in outcomes if isinstance(row, Failed)}
    return TestedShapes(Shapes.of(found), dict(sorted(unknown.items())))


def _outcomes(jobs: Sequence[ShapeJob], tools: Tools) -> list[Outcome]:
    if not jobs:
        return []
    return run_resumable(
        "validate-views: shapes of test objects", measure_shape, jobs, tools, tools.work / "test_shapes"
    )


def measure_shape(job: ShapeJob) -> Outcome:
    """Measure one object; runs in a worker."""
    # Blender costs seconds and 200 MB to load: the workers pay, the stage's own process and --help do not
    from render.blender.objects import shape_of

    try:
        with opened(job.path) as path:
            shape = shape_of(path)
    except Unrenderable as reason:
        return Rejected(job.uid, str(reason))
    if shape is None:
        return Rejected(job.uid, "its surface has no area")
    return Done(job.uid, {"shape": shape_as_text(shape)})


def _gso_jobs(root: Path) -> dict[str, ShapeJob]:
    meshes = {uid: folder / MODEL for uid, folder in find_gso_objects(root).items()}
    return {uid: ShapeJob(uid, _key(uid, mesh), mesh) for uid, mesh in meshes.items()}


def _scan_jobs(root: Path) -> list[ShapeJob]:
    objects = find_objects(root).objects
    return [ShapeJob(uid, _key(f"{uid}-scan", path), path, files_beside(path, root)) for uid, path in objects.items()]


def _key(name: str, path: Path) -> str:
    """Return what the shape depends on; empty where there is no file."""
    return fingerprint("shape", name, sha256_of(path)) if path.is_file() else ""
