"""Distances between two surfaces: Chamfer distance, F-score and normal consistency (sec. 5.3; docs/evaluation.md)."""

# Shapes: N point, K nearest neighbour

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from models.reconstruction.views import Floats
from tasks.evaluation.surface_points import SurfacePoints

F_SCORE_DISTANCE = 0.02
"""Two surfaces agree where they are nearer than this, in units of the object's longest side."""
NEIGHBOURS = 3
"""Drawn points nearest to a point whose faces may hold the nearest point of the surface."""


@dataclass(frozen=True)
class SurfaceScores:
    """How close two surfaces are, both ways."""

    chamfer: float
    """Half the sum of the two mean distances (not squared) of the points of one surface from the other surface."""
    f_score: float
    """Harmonic mean of the shares of points of either surface that are within F_SCORE_DISTANCE of the other."""
    normal_consistency: float
    """Mean of |cosine| between the normals of a point and of the nearest face, over both ways: 1 is best."""


def chamfer_distance(predicted_N3: Floats, target_N3: Floats) -> float:
    """Chamfer distance of two point sets, as SyncDreamer computes it.

    Args:
        predicted_N3: Points, in units of the object's longest side.
        target_N3: Other points; their number may differ.

    Returns half the sum of the two mean distances (not squared) to the nearest point of the other set.
    """
    to_target = np.asarray(cKDTree(target_N3).query(predicted_N3)[0])
    to_predicted = np.asarray(cKDTree(predicted_N3).query(target_N3)[0])
    return float(to_target.mean() + to_predicted.mean()) / 2


def compare_surfaces(predicted: SurfacePoints, target: SurfacePoints, count: int) -> SurfaceScores:
    """Compare two surfaces by points on them.

    Distances are to the faces of the other surface and not to points on it: the distance to the nearest of 20,000
    points is .004 to .006 of the longest side where the surfaces are equal, as large as what good meshes are told
    apart by.

    Args:
        predicted: Points on one surface.
        target: Points on the other.
        count: How many of either, the first, have their distances measured; all stand for their surface.
    """
    to_target, cosine_there = _to_surface(predicted.chosen(slice(count)), target)
    to_predicted, cosine_back = _to_surface(target.chosen(slice(count)), predicted)
    precision, recall = (float((distance < F_SCORE_DISTANCE).mean()) for distance in (to_target, to_predicted))
    return SurfaceScores(
        chamfer=float(to_target.mean() + to_predicted.mean()) / 2,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        normal_consistency=float(cosine_there.mean() + cosine_back.mean()) / 2,
    )


def _to_surface(points: SurfacePoints, surface: SurfacePoints) -> tuple[Floats, Floats]:
    """Distance (N,) of each point from the faces near it, and |cosine| (N,) of its normal with the nearest's."""
    neighbours = min(NEIGHBOURS, len(surface.points_N3))
    near_NK = np.asarray(cKDTree(surface.points_N3).query(points.points_N3, k=neighbours)[1])
    near_NK = near_NK.reshape(len(points.points_N3), neighbours)
    distance_NK = np.stack(
        [distance_to_triangles(points.points_N3, surface.corners[near]) for near in near_NK.T], axis=1
    )
    rows, best = np.arange(len(near_NK)), distance_NK.argmin(axis=1)
    cosine = np.einsum("nk,nk->n", points.normals, surface.normals[near_NK[rows, best]])
    return distance_NK[rows, best], np.abs(cosine)


def distance_to_triangles(points_N3: Floats, corners_N33: Floats) -> Floats:
    """Distance (N,) of each point from its triangle; a degenerate one is taken as its edges."""
    corners = list(np.moveaxis(corners_N33, 1, 0))
    edges = [corners[(corner + 1) % 3] - corners[corner] for corner in range(3)]
    offsets = [points_N3 - corner for corner in corners]
    normal = np.cross(edges[0], edges[1])
    length = np.linalg.norm(normal, axis=1)
    is_above = length > 0
    distance = np.full(len(points_N3), np.inf)
    for edge, offset in zip(edges, offsets, strict=True):
        along = (offset * edge).sum(axis=1) / np.maximum((edge * edge).sum(axis=1), 1e-300)
        distance = np.minimum(distance, np.linalg.norm(offset - along.clip(0, 1)[:, None] * edge, axis=1))
        is_above &= (np.cross(edge, offset) * normal).sum(axis=1) >= 0
    height = np.abs((offsets[0] * normal).sum(axis=1)) / np.maximum(length, 1e-300)
    return np.where(is_above, np.minimum(height, distance), distance)
