"""Still images of meshes: in their colours, then untextured from two sides. Images are uint8 (H, W, 4)."""

import numpy as np
import numpy.typing as npt

from models.reconstruction.mesh import Mesh, area_vectors
from models.reconstruction.raster import rasterise
from models.reconstruction.views import Cameras, Floats
from render.cameras import look_at_origin
from render.images import Rgba
from tasks.report.pictures import view_sheet

PREVIEW_SIDE_PX, SUPERSAMPLING = 96, 2
PREVIEW_FOV_DEG, PREVIEW_DISTANCE, PREVIEW_ELEVATION_DEG = 36.0, 2.2, 20.0
PREVIEW_TURNS_DEG = (30.0, 210.0)
"""Azimuths of the two sides shown, from that of the first target view."""
UNTEXTURED_RGB = np.array([0.80, 0.78, 0.75])
"""Colour of the surface where only its shape is shown."""
LIGHT_DIRECTION = np.array([-0.45, 0.65, 0.62])
"""Towards the light, in the camera's frame: upper left, from behind the camera."""
SMOOTH_COSINE = 0.8
"""Cosine between a face's normal and those of all its corners above which the face is shaded smoothly."""


def mesh_preview(mesh: Mesh, first_azimuth_deg: float) -> Rgba:
    """Draw a mesh in its colours, then untextured from two opposite sides.

    Azimuths are counted from `first_azimuth_deg`, that of the first target view.
    """
    front, back = (
        look_at_origin(first_azimuth_deg + turn, PREVIEW_ELEVATION_DEG, PREVIEW_DISTANCE) for turn in PREVIEW_TURNS_DEG
    )
    return view_sheet([*_shade(mesh, front), _shade(mesh, back)[1]], columns=3)


def _shade(mesh: Mesh, world_from_camera: Floats) -> tuple[Rgba, Rgba]:
    """Draw the mesh in its colours and untextured, lit from the upper left."""
    cameras = Cameras(world_from_camera[None], np.array([PREVIEW_FOV_DEG]), PREVIEW_SIDE_PX * SUPERSAMPLING)
    raster = rasterise(mesh.vertices, mesh.faces, cameras, 0)
    normals = np.einsum("hwk,hwkc->hwc", raster.weights, _corner_normals(mesh)[raster.face]) @ world_from_camera[:3, :3]
    normals *= np.where(normals[..., 2:] < 0, -1, 1)  # both sides of a face are lit
    lit = np.clip(normals @ (LIGHT_DIRECTION / np.linalg.norm(LIGHT_DIRECTION)), 0, 1)[..., None]
    colours = raster.interpolate(mesh.colours / 255, mesh.faces) * (0.75 + 0.25 * lit)
    is_covered = (raster.face >= 0)[..., None]
    return _downsample(colours, is_covered), _downsample(UNTEXTURED_RGB * (0.28 + 0.72 * lit), is_covered)


def _downsample(rgb: Floats, is_covered: npt.NDArray[np.bool_]) -> Rgba:
    """Average the covered samples of each pixel: straight-alpha RGBA at PREVIEW_SIDE_PX."""
    premultiplied = np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=2) * is_covered
    small = premultiplied.reshape(PREVIEW_SIDE_PX, SUPERSAMPLING, PREVIEW_SIDE_PX, SUPERSAMPLING, 4).mean(axis=(1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)


def _corner_normals(mesh: Mesh) -> Floats:
    """Return (F, 3, 3) unit normals at the corners of each face: the vertices' if it is smooth there, else its own."""
    flat = area_vectors(mesh.vertices[mesh.faces].astype(np.float64))
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    smooth = mesh.normals[mesh.faces]
    is_smooth = (np.einsum("fkc,fc->fk", smooth, flat) > SMOOTH_COSINE).all(axis=1)
    return np.where(is_smooth[:, None, None], smooth, flat[:, None])
