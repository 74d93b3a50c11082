"""Stage normalize: where each object lies and how big it is, as Blender sees it; the unrenderable is rejected here.

The objects themselves are not rewritten: a placement (centre and scale) per object is enough, loses nothing
and costs no second copy of the data set.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from render.axes import UpAxis
from render.errors import Unrenderable
from render.placement import normalize_bounds
from render.report import check_usable
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.manifest import Kind, check_failed_share, fingerprint, open_manifest, require_some, seal
from tasks.artifacts.placements import PLACEMENTS
from tasks.artifacts.resume import run_resumable
from tasks.artifacts.shapes import SHAPES, Shapes, shape_as_text, shape_of_text
from tasks.artifacts.tables import OBJECTS, read_objects
from tasks.config import NormalizeConfig
from tasks.outcome import Done, Outcome, Rejected
from tasks.ports import Tools

SHAPE = "shape"
"""Fact of a journal's row."""


@dataclass(frozen=True)
class NormalizeJob:
    """One object to measure."""

    uid: str
    key: str
    path: Path
    files: Path
    """The same, or the folder that all files of the object lie in."""
    up_axis: UpAxis | None
    config: NormalizeConfig

    @property
    def reads(self) -> Sequence[Path]:
        """The object."""
        return (self.files,)

    @property
    def writes(self) -> Sequence[Path]:
        """Nothing but the outcome."""
        return ()


def normalize_objects(objects: Path, config: NormalizeConfig, out: Path, tools: Tools) -> None:
    """Measure every object and write `placements.jsonl` and `shapes.npz`; the unrenderable is rejected with the reason.

    Args:
        objects: Sealed folder of objects.
        config: The section `normalize`.
        out: Becomes the sealed folder of placements.
        tools: Of the stage.

    Raises RuntimeError when too many objects fail or none is left.
    """
    source = open_manifest(objects, Kind.OBJECTS)
    jobs = [
        NormalizeJob(
            uid=row.uid,
            key=fingerprint(row.uid, *row.content),
            path=row.path(objects),
            files=row.all_files(objects),
            up_axis=row.up_axis,
            config=config,
        )
        for row in read_objects(objects / OBJECTS)
    ]
    outcomes = run_resumable("normalize", normalize_object, jobs, tools, tools.work / fingerprint(config))
    check_failed_share("normalize", outcomes, config.max_failed_share)
    shapes = {row.uid: row.facts[SHAPE] for row in outcomes if isinstance(row, Done) and SHAPE in row.facts}
    Shapes.of({uid: shape_of_text(str(text)) for uid, text in shapes.items()}).save(out / SHAPES)
    outcomes = [_without_shape(row) for row in outcomes]
    done = require_some("normalize", outcomes)
    rows = [json.dumps({"uid": row.uid, **row.facts}, sort_keys=True) for row in done]
    write_bytes(out / PLACEMENTS, "".join(row + "\n" for row in rows).encode())
    inputs = {"objects": source.fingerprint, "items": fingerprint(*rows)}
    seal(out, Kind.PLACEMENTS, config=config, inputs=inputs, outcomes=outcomes)


def normalize_object(job: NormalizeJob) -> Outcome:
    """Measure one object; runs in a worker."""
    # Blender costs seconds and 200 MB to load: the workers pay, the stage's own process and --help do not
    from render.blender.objects import inspect

    try:
        report = inspect(job.path, job.up_axis)
        limits = job.config
        check_usable(
            report, max_faces=limits.max_faces, missing_texture=limits.missing_texture, enclosed=limits.enclosed
        )
        placement = normalize_bounds(report.minimum, report.maximum, job.config.longest_side, job.up_axis)
    except Unrenderable as reason:
        return Rejected(job.uid, str(reason))
    pose = {"pose": report.pose} if report.pose == "rest" else {}
    shape = {} if report.shape is None else {SHAPE: shape_as_text(report.shape)}
    return Done(job.uid, {**placement.as_json(), "num_faces": report.num_faces, **pose, **shape})


def _without_shape(outcome: Outcome) -> Outcome:
    """Return an outcome for the ledger, which need not repeat the 50 numbers."""
    if not isinstance(outcome, Done):
        return outcome
    return replace(outcome, facts={name: value for name, value in outcome.facts.items() if name != SHAPE})
