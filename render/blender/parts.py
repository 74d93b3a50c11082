"""The parts of the loaded object: the faces of one material in one instance of a mesh."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from render.blender.meshes import Triangles, Vertices, faces_of, posed_meshes, read_attribute, transformed, vertices_of
from render.orientation import area_vectors

SPECK = 1e-6
"""Share of the size: faces smaller than its square are not seen, as those of nodes at scale 0."""


@dataclass(frozen=True)
class Part:
    """The faces (M, 3) of one material in one instance of a mesh, with its vertices (N, 3) in the file's units."""

    name: str
    material: Any
    """None where its faces have none."""
    vertices: Vertices
    faces: Triangles


def all_parts() -> Iterator[Part]:
    """Yield the parts of the scene."""
    for mesh, matrix in posed_meshes():
        vertices, faces = transformed(vertices_of(mesh), matrix), faces_of(mesh)
        slots = read_attribute(mesh.loop_triangles, "material_index", np.int32, 1)[:, 0]
        for slot in np.unique(slots):
            material = mesh.materials[slot] if slot < len(mesh.materials) else None
            yield Part(mesh.name, material, vertices, faces[slots == slot])


def without_specks(part: Part, size: float) -> Part:
    """Return a part without the faces that have no area to be seen."""
    twice_areas = np.linalg.norm(area_vectors(part.vertices[part.faces]), axis=1)
    return replace(part, faces=part.faces[twice_areas > (SPECK * size) ** 2])


def flag(material: Any, name: str) -> bool:
    """Return a property of a material; False where there is no material."""
    return bool(material and material.get(name))
