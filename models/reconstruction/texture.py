"""Bakes the views of an object into a texture of its mesh, and writes both as GLB."""

# Shapes: M atlas vertex, F face, T = side of the texture in texels, K covered texel

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from scipy.ndimage import distance_transform_edt
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from models.reconstruction.atlas import Atlas, lay_out
from models.reconstruction.mesh import Mesh, as_bytes, colours_at
from models.reconstruction.raster import covered_pixels
from models.reconstruction.views import Floats, Views

SMALLEST_SIDE, LARGEST_SIDE = 256, 4096
GLTF_FROM_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""World +Z (up) is glTF's +Y, world -Y (front) its +Z."""


@dataclass(frozen=True)
class TexturedMesh:
    """A triangle mesh with a texture; faces are counter-clockwise seen from outside."""

    vertices: npt.NDArray[np.float32]
    """(M, 3) positions in the world; a vertex on a seam of the texture is there once for each side of it."""
    normals: npt.NDArray[np.float32]
    """(M, 3) unit vectors, continuous over seams."""
    faces: npt.NDArray[np.int32]
    """(F, 3) indices of vertices."""
    uv: npt.NDArray[np.float32]
    """(M, 2) in [0, 1], v up."""
    texture: npt.NDArray[np.uint8]
    """(T, T, 3) sRGB."""


def textured(mesh: Mesh, views: Views) -> TexturedMesh:
    """Lay a mesh out in a texture and give each texel the colour that the views see there.

    The texture has about as many texels as the object has pixels in the views: its side is the first power of two that
    is at least twice theirs, from 256 to 4096.
    """
    wanted = 2 ** int(np.ceil(np.log2(2 * views.rgba.shape[1])))
    atlas = lay_out(mesh.vertices, mesh.faces, min(max(wanted, SMALLEST_SIDE), LARGEST_SIDE))
    normals = mesh.normals[atlas.vertices]
    texture = _baked(atlas, mesh, views)
    uv = atlas.texels / atlas.side * [1.0, -1.0] + [0.0, 1.0]
    return TexturedMesh(
        mesh.vertices[atlas.vertices],
        normals.astype(np.float32),
        atlas.faces,
        uv.astype(np.float32),
        as_bytes(texture),
    )


def _baked(atlas: Atlas, mesh: Mesh, views: Views) -> Floats:
    """Colours (T, T, 3); what no face covers takes the colour of the nearest texel that one covers."""
    places, points, normals = [], [], []
    for covered in covered_pixels(atlas.texels[atlas.faces], atlas.side, atlas.side):
        corners = mesh.faces[covered.face]
        places.append(covered.row * atlas.side + covered.column)
        points.append(np.einsum("kc,kcd->kd", covered.weights, mesh.vertices[corners]))
        normals.append(np.einsum("kc,kcd->kd", covered.weights, mesh.normals[corners]))
    if not places:
        raise ValueError(f"no face covers a texel of a texture of {atlas.side} x {atlas.side}; make it larger")
    place, first = np.unique(np.concatenate(places), return_index=True)  # a texel on an edge is covered twice
    normal = np.concatenate(normals)[first]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    texture = np.zeros((atlas.side**2, 3))
    texture[place] = colours_at(np.concatenate(points)[first], normal, mesh, views)
    is_bare = np.ones(atlas.side**2, dtype=bool)
    is_bare[place] = False
    rows, columns = distance_transform_edt(
        is_bare.reshape(atlas.side, atlas.side), return_distances=False, return_indices=True
    )
    return texture.reshape(atlas.side, atlas.side, 3)[rows, columns]


def write_glb(mesh: TexturedMesh, path: Path) -> None:
    """Write a binary glTF, Y up, with normals and the texture inside; equal meshes give equal bytes."""
    material = PBRMaterial(
        baseColorTexture=Image.fromarray(mesh.texture), metallicFactor=0.0, roughnessFactor=1.0, name="views"
    )
    solid = trimesh.Trimesh(
        mesh.vertices @ GLTF_FROM_WORLD.T,
        mesh.faces,
        vertex_normals=mesh.normals @ GLTF_FROM_WORLD.T,
        visual=TextureVisuals(uv=mesh.uv, material=material),
        process=False,
    )
    content = solid.export(file_type="glb", include_normals=True)
    assert isinstance(content, bytes)
    path.write_bytes(content)
