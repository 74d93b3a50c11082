"""Tells whether an object as it stands has lost its size, as animations that let it pop up begin, or its depth."""

from typing import Any

import numpy as np
import numpy.typing as npt

from render.blender.meshes import faces_of, posed_meshes, transformed, vertices_of
from render.orientation import area_vectors

FLAT = 1e-7
"""A transform that keeps less than this share of a volume has lost a dimension: what stands so is not to be seen."""
LOST = 5e-8
"""Share of a transform's largest scale that rounding leaves of a scale of 0, at most."""
DEEP = 1e-6
"""Share of its size that a mesh must have along a direction to lose something with it."""


def has_collapsed() -> bool:
    """Tell whether more than half of the scene's faces have no size, because nodes or bones stand at scale 0."""
    sound = collapsed = 0
    for mesh, matrix in posed_meshes():
        faces = faces_of(mesh)
        corners = transformed(vertices_of(mesh), matrix)[faces]
        areas = np.linalg.norm(area_vectors(corners), axis=1)
        lost = len(faces) if is_singular(matrix) else int((areas == 0).sum())
        collapsed, sound = collapsed + lost, sound + len(faces) - lost
    return collapsed > sound


def is_flattened() -> bool:
    """Tell whether nodes at scale 0 take a dimension from all that has faces; a sheet may have none to lose.

    The sides of what stands so lie in each other, and light reaches neither.
    """
    has_faces = False
    for mesh, matrix in posed_meshes():
        if len(mesh.loop_triangles) and not has_lost_depth(mesh, matrix):
            return False
        has_faces |= len(mesh.loop_triangles) > 0
    return has_faces


def has_lost_depth(mesh: Any, matrix: npt.NDArray[np.float64]) -> bool:
    """Tell whether a 4x4 transform takes a dimension from a mesh that has it."""
    lost = lost_directions(matrix)
    if not len(lost):
        return False
    vertices = vertices_of(mesh)
    return bool((np.ptp(vertices @ lost.T, axis=0) > DEEP * np.ptp(vertices, axis=0).max()).any())


def lost_directions(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the directions (N, 3) that a 4x4 transform scales by 0; none where it is not finite."""
    if not np.isfinite(matrix).all():
        return np.zeros((0, 3))
    _, scales, directions = np.linalg.svd(matrix[:3, :3])
    return np.asarray(directions[scales <= LOST * scales.max()])


def is_singular(matrix: npt.NDArray[np.float64]) -> bool:
    """Tell whether a 4x4 transform has a scale of 0 along some axis."""
    columns = np.linalg.norm(matrix[:3, :3], axis=0)
    return abs(np.linalg.det(matrix[:3, :3])) <= FLAT * columns.max() ** 3
