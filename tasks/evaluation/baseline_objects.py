"""One object's prediction by a baseline: a reconstruction from true views, and its pictures from the scored cameras."""

# Shapes: V given view, K registered view

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.config import ReconstructConfig
from models.reconstruction.mesh import Mesh, encode_ply
from models.reconstruction.mesh_views import render_mesh_views
from models.reconstruction.pose_alignment import align_poses
from models.reconstruction.structure_from_motion import register_views
from models.reconstruction.surface import reconstruct_views
from models.reconstruction.views import Views
from render.passes import View
from render.views import ViewKind
from tasks.artifacts.cases import OWN, Case
from tasks.artifacts.randomness import seed_of
from tasks.artifacts.views import MESH, ViewSet, as_cameras, files_of_object, posed_views, write_views
from tasks.outcome import Done, Json, Outcome, Rejected

BOUND = 0.525
"""Half the side of the cube that a reconstruction may fill: every object's longest side is 1 and its centre the origin,
and 5 % are left over. From one view the hull is a cone, which this closes."""
ALL_AGREE = 1.0
"""True silhouettes never err, so that a hull needs the vote of every view."""


@dataclass(frozen=True)
class BaselineJob:
    """One object in one case."""

    case: Case
    object_uid: str
    group: str
    test_views: Path
    reconstruct: ReconstructConfig
    seed: int
    item: Path
    """Takes the views and the mesh."""
    threads: int
    device: str

    @property
    def uid(self) -> str:
        """Case and object."""
        return f"{self.case.name}/{self.object_uid}"

    @property
    def reads(self) -> Sequence[Path]:
        """The object's true views."""
        return files_of_object(self.test_views, self.object_uid)

    @property
    def writes(self) -> Sequence[Path]:
        """The item."""
        return (self.item,)

    @property
    def key(self) -> str:
        """What distinguishes the item from the others of one configuration and one test set."""
        return self.uid


def make_baseline(job: BaselineJob) -> Outcome:
    """Reconstruct one object and render the result; runs in a worker.

    An object that no mesh comes of is rejected with the reason. The facts carry the object's group and, under `own`,
    how many of its views structure from motion registers.
    """
    torch.set_num_threads(job.threads)
    truth = ViewSet.open(job.test_views)
    kind = ViewKind.TARGET if job.case.method == "upper-bound" else ViewKind.CONDITION
    names = truth.names(job.object_uid, kind)[: job.case.conditions]
    given = posed_views(truth, job.object_uid, names, with_normals=job.reconstruct.normal_weight > 0)
    facts: dict[str, Json] = {"group": job.group}
    placed: Views | None = given
    if job.case.method == "sfm":
        placed, measured = place_views(given, seed_of(job.seed, "sfm", job.object_uid))
        facts[OWN] = dict(measured)
    if placed is None:
        return Rejected(job.uid, f"structure from motion places none of the {len(names)} condition views", facts)
    mesh = _reconstruct(placed, job)
    if mesh is None:
        return Rejected(job.uid, f"the {len(placed.rgba)} views enclose nothing", facts)
    cameras = truth.cameras(job.object_uid, job.case.scored)
    images = render_mesh_views(mesh, as_cameras(cameras, given.rgba.shape[1]))
    write_views(job.item, cameras, [View(image) for image in images], {"case": job.case.name}, {MESH: encode_ply(mesh)})
    return Done(job.uid, facts | {"vertices": len(mesh.vertices), "faces": len(mesh.faces)})


def place_views(given: Views, seed: int) -> tuple[Views | None, dict[str, float]]:
    """Replace the true poses by those of structure from motion, brought to the frame of the true ones.

    The alignment by true poses is generous: a user has none.

    Args:
        given: The V views with their true poses.
        seed: Of structure from motion.

    Returns:
        The K registered views, None where there are none; and `registered_views` (the share K / V), `registered_any`
        and `registered_all` (0 or 1), and for registered views the mean `pose_error_deg` of their orientations.
    """
    found = register_views(given, seed)
    count, chosen = len(found.views), list(found.views)
    measured = {
        "registered_views": count / len(given.rgba),
        "registered_any": float(count > 0),
        "registered_all": float(count == len(given.rgba)),
    }
    if not chosen:
        return None, measured
    true = given.world_from_camera[chosen]
    poses = align_poses(found.world_from_camera, true)
    turns = np.einsum("kij,klj->kil", poses[:, :3, :3], true[:, :3, :3])
    cosine = (np.trace(turns, axis1=1, axis2=2) - 1) / 2
    measured["pose_error_deg"] = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
    normals = None if given.normals is None else given.normals[chosen]
    return Views(given.rgba[chosen], poses, given.fov_deg[chosen], normals), measured


def _reconstruct(views: Views, job: BaselineJob) -> Mesh | None:
    """Reconstruct as the method says; the upper bound exactly as the samples are."""
    seed = seed_of(job.seed, "baselines", job.uid)
    if job.case.method == "upper-bound":
        return reconstruct_views(views, job.reconstruct, seed, job.device)
    changed: dict[str, object] = {} if job.case.method == "sfm" else {"vote": ALL_AGREE}
    if job.case.method == "hull-gt-pose":
        changed["method"] = "hull"
    return reconstruct_views(views, job.reconstruct.model_copy(update=changed), seed, job.device, bound=BOUND)
