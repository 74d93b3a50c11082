"""Stage gso-eval: SyncDreamer's test objects as given, 16 pictures and the true mesh in one frame (docs/evaluation.md).

Views r00.. are the pictures' pixels, r00 the condition image; `meshes/<uid>.ply` lies as the mesh does in them.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trimesh
from trimesh.exchange.ply import export_ply

from render.cameras import Camera
from render.images import Rgba
from render.passes import View
from render.views import syncdreamer_cameras
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.content import sha256_of
from tasks.artifacts.manifest import (
    MANIFEST,
    MAX_FAILED_SHARE,
    Kind,
    check_failed_share,
    fingerprint,
    require_some,
    seal,
)
from tasks.artifacts.resume import ItemStore
from tasks.artifacts.shards import OBJECTS_PER_SHARD
from tasks.artifacts.test_set import true_mesh_path, write_test_set
from tasks.artifacts.views import MESH, as_cameras, seal_views, write_views
from tasks.config import GsoEvalConfig
from tasks.outcome import Done, Json, Outcome, Rejected
from tasks.ports import Tools, collect
from tasks.sources.gso_layout import (
    ANGLES_DEG,
    MODEL,
    TrueMesh,
    absent,
    extra_files,
    find_gso_objects,
    read_pictures,
    read_true_mesh,
)
from tasks.sources.silhouettes import silhouette_offset

MAX_OFFSET_PX = 2.0
"""Distance between the outlines of mesh and pictures, in pixels of an image of 256 or of a smaller one, above which the
mesh does not lie as the pictures show it; the thirty objects stay within 1."""


@dataclass(frozen=True)
class GsoJob:
    """One object in SyncDreamer's layout, and where its item goes."""

    uid: str
    folder: Path
    config: GsoEvalConfig
    item: Path

    @property
    def reads(self) -> Sequence[Path]:
        """The object's folder."""
        return (self.folder,)

    @property
    def writes(self) -> Sequence[Path]:
        """The item."""
        return (self.item,)

    @property
    def angle_deg(self) -> float:
        """The ground-truth angle of the object's mesh: the given one, SyncDreamer's, or none."""
        return self.config.angles_deg.get(self.uid, ANGLES_DEG.get(self.uid, 0.0))


def read_gso_eval(config: GsoEvalConfig, out: Path, tools: Tools) -> None:
    """Read every object of a folder in SyncDreamer's layout; an empty folder makes an empty set.

    An object whose pictures are incomplete or broken is rejected with the reason. One whose mesh is missing, broken or
    does not lie in its pictures keeps its views and has no mesh; the reason stands in its facts as `note`.

    Args:
        config: The section `gso_eval`.
        out: Becomes the sealed set of views, with `meshes/<uid>.ply` and `test_set.json`.
        tools: Of the stage.

    Raises ValueError when there is no such folder or an angle is given for an object that there is not, RuntimeError
    when the folder has objects and none can be used.
    """
    found = find_gso_objects(Path(config.folder).expanduser())
    unknown = sorted(config.angles_deg.keys() - found.keys())
    if unknown:
        raise ValueError(f"gso_eval.angles_deg names {unknown[0]}, which is no object of {config.folder}; remove it")
    (out / MANIFEST).unlink(missing_ok=True)
    store = ItemStore(tools.work / fingerprint(config))
    jobs = [GsoJob(uid, folder, config, store.path(uid)) for uid, folder in found.items()]
    outcomes = collect(tools.pool, tools.progress, "gso-eval", read_gso_object, jobs)
    check_failed_share("gso-eval", outcomes, MAX_FAILED_SHARE)
    made = [row.uid for row in require_some("gso-eval", outcomes)] if outcomes else []
    keys = {uid: uid for uid in made}
    seal_views(store.readers(keys), store.lay_out(keys, OBJECTS_PER_SHARD), out)
    for uid in made:
        if MESH in (members := store.members(uid, uid)):
            write_bytes(true_mesh_path(out, uid), members[MESH])
    objects = write_test_set(out)
    missing = absent(made) if made else []
    _tell(config, outcomes, missing, tools)
    seal(
        out,
        Kind.VIEWS,
        config=config,
        inputs={"content": fingerprint(objects)},
        outcomes=outcomes,
        facts={"absent": missing},
    )
    shutil.rmtree(store.folder, ignore_errors=True)


def _tell(config: GsoEvalConfig, outcomes: list[Outcome], missing: list[str], tools: Tools) -> None:
    if not outcomes:
        tools.progress.note(
            f"gso-eval: {config.folder} holds no objects, so nothing is compared with SyncDreamer's files"
        )
    elif missing:
        tools.progress.note(f"gso-eval: {len(missing)} of the thirty objects are absent: {', '.join(missing)}")
    for row in outcomes:
        if isinstance(row, Done) and "note" in row.facts:
            tools.progress.note(f"gso-eval: {row.uid}: {row.facts['note']}")


def read_gso_object(job: GsoJob) -> Outcome:
    """Read one object and write its item; runs in a worker."""
    try:
        pictures = read_pictures(job.folder, job.config.resolution)
    except ValueError as reason:
        return Rejected(job.uid, str(reason))
    cameras = syncdreamer_cameras()
    facts: dict[str, Json] = {"group": "gso" if job.uid in ANGLES_DEG else "scan", "views": len(pictures)}
    notes, others = [], {}
    if extra := extra_files(job.folder):
        notes.append(f"{', '.join(extra[:3])}{' and more' if len(extra) > 3 else ''} is not of the layout and not read")
    try:
        mesh, offset = _read_mesh(job, pictures, cameras)
    except ValueError as reason:
        notes.append(f"no scores of meshes, since {reason}")
    else:
        others[MESH] = export_ply(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False))
        facts |= {"angle_deg": job.angle_deg, "offset_px": offset, "model_sha256": sha256_of(job.folder / MODEL)}
        if job.uid not in ANGLES_DEG and job.uid not in job.config.angles_deg:
            notes.append(
                "not one of the thirty objects, so its mesh is not turned; gso_eval.angles_deg can say otherwise"
            )
    write_views(job.item, cameras, [View(picture) for picture in pictures], {}, others)
    return Done(job.uid, facts | ({"note": "; ".join(notes)} if notes else {}))


def _read_mesh(job: GsoJob, pictures: list[Rgba], cameras: list[Camera]) -> tuple[TrueMesh, float]:
    """Read an object's mesh and measure how far from the pictures it lies, in pixels.

    Raises ValueError where there is none or where it is not what the pictures show.
    """
    path = job.folder / MODEL
    if not path.is_file():
        raise ValueError(f"there is no {MODEL}")
    mesh = read_true_mesh(path, job.angle_deg)
    offset = silhouette_offset(mesh, pictures, as_cameras(cameras, job.config.resolution))
    if offset > MAX_OFFSET_PX * max(1, job.config.resolution / 256):
        raise ValueError(
            f"{MODEL} turned by {-job.angle_deg:g} degrees lies up to {offset:.0f} px off the pictures' alpha; give "
            f"its ground-truth angle in gso_eval.angles_deg, or put the pictures in order"
        )
    return mesh, offset
