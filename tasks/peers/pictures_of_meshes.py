"""Pictures of other people's meshes: antialiased views with their textures, and silhouettes by any camera."""

# Shapes: V view, H = W = side in pixels, N vertex, F face

import numpy as np
import numpy.typing as npt

from models.reconstruction.mesh import Mesh
from models.reconstruction.raster import covered_pixels, rasterise
from models.reconstruction.views import Cameras
from render.images import Rgba
from tasks.peers.cameras import PeerCamera
from tasks.peers.mesh_files import Surface, joined, look_up

SUPERSAMPLING = 3
"""Rays along each side of a pixel."""


def draw_surfaces(surfaces: list[Surface], cameras: Cameras) -> list[Rgba]:
    """Render surfaces unlit from every camera: uint8 (H, H, 4) each, straight alpha, antialiased.

    What a texture or vertex colour says is what the camera sees; both sides of a face are visible.
    """
    fine = Cameras(cameras.world_from_camera, cameras.fov_deg, SUPERSAMPLING * cameras.side)
    mesh = joined(surfaces)
    return [_draw(surfaces, mesh, fine, view) for view in range(len(fine))]


def _draw(surfaces: list[Surface], mesh: Mesh, fine: Cameras, view: int) -> Rgba:
    raster = rasterise(mesh.vertices, mesh.faces, fine, view)
    rows, columns = np.nonzero(raster.face >= 0)
    face, weights = raster.face[rows, columns], raster.weights[rows, columns]
    colours = np.zeros((len(face), 3))
    first = 0
    for surface in surfaces:
        own = np.flatnonzero((face >= first) & (face < first + len(surface.faces)))
        corners = surface.faces[face[own] - first]
        colours[own] = _shade(surface, corners, weights[own])
        first += len(surface.faces)
    image = np.zeros((fine.side, fine.side, 4))
    image[rows, columns] = np.concatenate([colours, np.full((len(face), 1), 255.0)], axis=1)
    return _reduced(image)


def _shade(
    surface: Surface, corners_K3: npt.NDArray[np.int64], weights_K3: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    if surface.texture is None or surface.uv is None:
        mixed: npt.NDArray[np.float64] = np.einsum("kc,kcd->kd", weights_K3, surface.colours[corners_K3])
        return mixed
    return look_up(surface.texture, np.einsum("kc,kcd->kd", weights_K3, surface.uv[corners_K3]))


def _reduced(premultiplied: npt.NDArray[np.float64]) -> Rgba:
    side = len(premultiplied) // SUPERSAMPLING
    image = premultiplied.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING, 4).mean(axis=(1, 3))
    image[..., :3] *= 255 / np.maximum(image[..., 3:], 1e-6)
    return np.rint(image).astype(np.uint8)


def silhouette(mesh: Mesh, camera: PeerCamera, side: int) -> npt.NDArray[np.bool_]:
    """Return the pixels (H, H) whose centres a mesh covers; faces that reach behind a pinhole camera are left out."""
    pixels, depth = camera.project(mesh.vertices.astype(np.float64), side)
    faces = mesh.faces if camera.fov_deg is None else mesh.faces[(depth[mesh.faces] > 0).all(axis=1)]
    mask = np.zeros((side, side), dtype=bool)
    for covered in covered_pixels(pixels[faces], side, side):
        mask[covered.row, covered.column] = True
    return mask
