"""Scores of one object's mesh against its true mesh (sec. 5.3; docs/evaluation.md)."""

# Shapes: N point, R voxel along the side

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.reconstruction.mesh import Mesh
from models.reconstruction.views import Floats
from tasks.artifacts.randomness import rng_for
from tasks.config import EvaluateConfig
from tasks.evaluation.mesh_metrics import solid_voxels, volume_iou
from tasks.evaluation.surface_distance import SurfaceScores, chamfer_distance, compare_surfaces
from tasks.evaluation.surface_points import (
    NUM_RING,
    OVERSAMPLING,
    SurfacePoints,
    depth_maps,
    depth_points,
    judges,
    visible_points,
)


@dataclass(frozen=True)
class MeasuredMesh:
    """What a mesh is compared by; made once and compared with many."""

    depth_points_N3: Floats
    """SyncDreamer's points, which its 16 cameras see."""
    visible: SurfacePoints
    """OVERSAMPLING times `evaluate.points`, uniform by area, less those that neither these nor 8 cameras from below
    see."""
    solid: npt.NDArray[np.bool_]
    """(R, R, R) voxels inside the mesh."""

    @classmethod
    def of(cls, mesh: Mesh, uid: str, config: EvaluateConfig, seed: int) -> "MeasuredMesh":
        """Measure a mesh.

        Args:
            mesh: In the frame of the evaluation.
            uid: The object, by whose name points are drawn.
            config: Numbers of points and voxels.
            seed: For the points.
        """
        cameras = judges()
        depths = depth_maps(mesh, cameras)
        return cls(
            depth_points(depths[:NUM_RING], cameras),
            visible_points(mesh, depths, cameras, OVERSAMPLING * config.points, rng_for(seed, "evaluate", uid)),
            solid_voxels(mesh, config.iou_resolution),
        )

    @property
    def is_hidden(self) -> bool:
        """Whether no camera sees any of it, as when it lies outside every image."""
        return not len(self.depth_points_N3) or not len(self.visible.points_N3)


def score_mesh(predicted: MeasuredMesh, truth: MeasuredMesh, points: int) -> dict[str, float]:
    """Return `chamfer`, `chamfer_area`, `f_score`, `normal_consistency` and `volume_iou`.

    `points` of each surface are measured from the other. The volume IoU is left out where the true mesh is empty.
    Raises ValueError for a mesh that no camera sees.
    """
    if predicted.is_hidden or truth.is_hidden:
        whose = "predicted" if predicted.is_hidden else "true"
        raise ValueError(f"no camera of the evaluation sees the {whose} mesh; place it in the cube [-0.5, 0.5]^3")
    surface = compare_surfaces(predicted.visible, truth.visible, points)
    overlap = volume_iou(predicted.solid, truth.solid)
    return {
        "chamfer": chamfer_distance(predicted.depth_points_N3, truth.depth_points_N3),
        **named(surface),
    } | ({} if overlap is None else {"volume_iou": overlap})


def named(surface: SurfaceScores) -> dict[str, float]:
    """Return the scores of two surfaces under their names in the tables."""
    return {
        "chamfer_area": surface.chamfer,
        "f_score": surface.f_score,
        "normal_consistency": surface.normal_consistency,
    }
