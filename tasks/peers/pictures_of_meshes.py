"""Pictures of other people's meshes: antialiased views with their textures, and silhouettes by any camera."""

# Shapes: H = W = side in pixels, K ray that hits a face

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from models.reconstruction.mesh import Mesh
from models.reconstruction.mesh_views import render_mesh_views
from models.reconstruction.raster import Integers, covered_pixels
from models.reconstruction.views import Cameras, Floats
from render.images import Rgba
from tasks.peers.cameras import PeerCamera
from tasks.peers.mesh_files import Surface, look_up


def draw_surfaces(surfaces: Sequence[Surface], mesh: Mesh, cameras: Cameras) -> list[Rgba]:
    """Render surfaces unlit from every camera: uint8 (H, H, 4) each, straight alpha, antialiased.

    `mesh` joins them. What a texture or vertex colour says is what the camera sees; both sides of a face are visible.
    """
    return list(render_mesh_views(mesh, cameras, partial(_shade, surfaces)))


def _shade(surfaces: Sequence[Surface], face_K: Integers, weights_K3: Floats) -> Floats:
    """Colours (K, 3) of places on the faces of all surfaces, one surface after the other."""
    colours = np.zeros((len(face_K), 3))
    first = 0
    for surface in surfaces:
        own = np.flatnonzero((face_K >= first) & (face_K < first + len(surface.faces)))
        corners_K3, shares_K3 = surface.faces[face_K[own] - first], weights_K3[own]
        if surface.texture is None or surface.uv is None:
            colours[own] = np.einsum("kc,kcd->kd", shares_K3, surface.colours[corners_K3])
        else:
            colours[own] = look_up(surface.texture, np.einsum("kc,kcd->kd", shares_K3, surface.uv[corners_K3]))
        first += len(surface.faces)
    return colours


def silhouette(mesh: Mesh, camera: PeerCamera, side: int) -> npt.NDArray[np.bool_]:
    """Return the pixels (H, H) whose centres a mesh covers; faces that reach behind a pinhole camera are left out."""
    pixels, depth = camera.project(mesh.vertices.astype(np.float64), side)
    faces = mesh.faces if camera.fov_deg is None else mesh.faces[(depth[mesh.faces] > 0).all(axis=1)]
    mask = np.zeros((side, side), dtype=bool)
    for covered in covered_pixels(pixels[faces], side, side):
        mask[covered.row, covered.column] = True
    return mask
