"""Reads the meshes of Blender's scene as arrays."""

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

Vertices = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int32]


def mesh_instances() -> Iterator[tuple[Vertices, Triangles]]:
    """Yield vertices (N, 3) and faces (M, 3) of every instance of a mesh, as rendered, in the file's units, Z up."""
    for mesh, matrix in posed_meshes():
        yield transformed(vertices_of(mesh), matrix), faces_of(mesh)


def posed_meshes() -> Iterator[tuple[Any, npt.NDArray[np.float64]]]:
    """Yield every instance of a mesh as Blender poses it, and the 4x4 transform to the file's units, Z up."""
    for instance in bpy.context.evaluated_depsgraph_get().object_instances:
        if instance.object.type == "MESH":
            yield instance.object.data, np.array(instance.matrix_world)


def vertices_of(mesh: Any) -> Vertices:
    """Return the vertices (N, 3) of a mesh in its own units."""
    return read_attribute(mesh.vertices, "co", np.float32, 3).astype(np.float64)


def faces_of(mesh: Any) -> Triangles:
    """Return the triangles (M, 3) of a mesh, which index its vertices."""
    return read_attribute(mesh.loop_triangles, "vertices", np.int32, 3)


def read_attribute(items: Any, attribute: str, dtype: type, width: int) -> npt.NDArray[Any]:
    """Return an attribute of all N `items`, such as a mesh's vertices, as an array (N, width)."""
    values: npt.NDArray[Any] = np.empty(len(items) * width, dtype=dtype)
    items.foreach_get(attribute, values)
    return values.reshape(-1, width)


def transformed(points: Vertices, matrix: npt.NDArray[np.float64]) -> Vertices:
    """Return points (N, 3) moved by a 4x4 affine transform."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def used_vertices(vertices: Vertices, faces: Triangles) -> Vertices:
    """Return the vertices (N, 3) that a face uses; the others cannot be seen."""
    used = np.zeros(len(vertices), dtype=bool)
    used[faces.ravel()] = True
    return vertices[used]
