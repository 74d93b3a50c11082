"""Tells whether an object as it stands has shrunk to nothing, as animations that let it pop up begin."""

import numpy as np
import numpy.typing as npt

from render.blender.meshes import faces_of, posed_meshes, transformed, vertices_of
from render.orientation import area_vectors

FLAT = 1e-7
"""A transform that keeps less than this share of a volume has lost a dimension: what stands so is not to be seen."""


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


def is_singular(matrix: npt.NDArray[np.float64]) -> bool:
    """Tell whether a 4x4 transform has a scale of 0 along some axis."""
    columns = np.linalg.norm(matrix[:3, :3], axis=0)
    return abs(np.linalg.det(matrix[:3, :3])) <= FLAT * columns.max() ** 3
