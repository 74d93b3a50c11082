"""Meshes with known properties."""

import numpy as np
import trimesh

from models.reconstruction.mesh import Mesh


def as_mesh(shape: trimesh.Trimesh) -> Mesh:
    vertices, faces = np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32)
    return Mesh(vertices, faces, np.zeros((len(vertices), 3), np.uint8))


def ball(radius: float) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=radius)


def box(extents: tuple[float, float, float], shift: tuple[float, float, float] = (0, 0, 0)) -> trimesh.Trimesh:
    made = trimesh.creation.box(extents)
    made.apply_translation(shift)
    return made


def joined(parts: list[trimesh.Trimesh]) -> trimesh.Trimesh:
    whole = trimesh.util.concatenate(parts)
    assert isinstance(whole, trimesh.Trimesh)
    return whole
