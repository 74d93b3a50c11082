"""Pictures of the report: strips of views, contact sheets and shaded meshes. Images are uint8 (H, W, 3 or 4)."""

import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.reconstruction.mesh import Mesh
from models.reconstruction.raster import rasterise
from models.reconstruction.views import Cameras, Floats
from render.cameras import look_at_origin

Pixels = npt.NDArray[np.uint8]
MAX_TILE = 160
"""Larger views are shown at this side."""
GAP = 4
PREVIEW_SIDE, SUPERSAMPLING = 160, 2
PREVIEW_FOV_DEG, PREVIEW_DISTANCE, PREVIEW_ELEVATION_DEG = 36.0, 2.2, 20.0
PREVIEW_TURNS_DEG = (30.0, 210.0)
"""Of the two sides shown, counted from the first target view."""
CLAY = np.array([0.80, 0.78, 0.75])
LIGHT = np.array([-0.45, 0.65, 0.62])
"""Direction to the light, in the camera's frame: upper left, from behind the camera."""
CREASE = 0.8
"""Cosine between a face and all its corners above which it is shaded smoothly."""


def strip(images: Iterable[Pixels], columns: int) -> bytes:
    """PNG of views on white, side by side, row by row."""
    tiles = [_tile(image) for image in images]
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    page = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + GAP), index % columns * (width + GAP)
        page[top : top + height, left : left + width] = tile
    return _png(page)


def smaller(picture: bytes, width: int) -> bytes:
    """The picture as PNG, at most `width` pixels wide."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    return _png(np.asarray(image))


def _tile(image: Pixels) -> Pixels:
    """On white, at most MAX_TILE pixels."""
    alpha = image[..., 3:].astype(np.float32) / 255
    white = np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    if len(white) <= MAX_TILE:
        return white
    return np.asarray(Image.fromarray(white).resize((MAX_TILE, MAX_TILE), Image.Resampling.LANCZOS))


def mesh_preview(mesh: "Mesh", first_azimuth_deg: float) -> bytes:
    """PNG of a mesh in its colours, then as clay from two opposite sides."""
    front, back = (
        look_at_origin(first_azimuth_deg + turn, PREVIEW_ELEVATION_DEG, PREVIEW_DISTANCE) for turn in PREVIEW_TURNS_DEG
    )
    tiles = [*_shade(mesh, front), _shade(mesh, back)[1]]
    return strip(tiles, columns=len(tiles))


def _shade(mesh: "Mesh", pose: Floats) -> tuple[Pixels, Pixels]:
    """RGBA of the mesh in its colours and in clay, lit from the upper left."""
    cameras = Cameras(pose[None], np.array([PREVIEW_FOV_DEG]), PREVIEW_SIDE * SUPERSAMPLING)
    raster = rasterise(mesh.vertices, mesh.faces, cameras, 0)
    corner_normals = _corner_normals(mesh)[raster.face]
    normals = np.einsum("hwk,hwkc->hwc", raster.weights, corner_normals) @ pose[:3, :3]
    normals *= np.where(normals[..., 2:] < 0, -1, 1)  # both sides of a face are lit
    lit = np.clip(normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)[..., None]
    colours = raster.interpolate(mesh.colours / 255, mesh.faces) * (0.75 + 0.25 * lit)
    covered = (raster.face >= 0)[..., None]
    return _reduce(colours, covered), _reduce(CLAY * (0.28 + 0.72 * lit), covered)


def _reduce(rgb: Floats, covered: npt.NDArray[np.bool_]) -> Pixels:
    """Straight-alpha RGBA at PREVIEW_SIDE: the mean of the covered samples of each pixel."""
    premultiplied = np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=2) * covered
    small = premultiplied.reshape(PREVIEW_SIDE, SUPERSAMPLING, PREVIEW_SIDE, SUPERSAMPLING, 4).mean(axis=(1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return np.rint(255 * np.clip(small, 0, 1)).astype(np.uint8)


def _corner_normals(mesh: "Mesh") -> Floats:
    """(F, 3, 3) unit normals at each face's corners: the vertices' where the surface is smooth, else the face's own."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]].astype(np.float64) for corner in range(3))
    flat = np.cross(b - a, c - a)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    smooth = mesh.normals[mesh.faces]
    is_smooth = (np.einsum("fkc,fc->fk", smooth, flat) > CREASE).all(axis=1)
    return np.where(is_smooth[:, None, None], smooth, flat[:, None])


def _png(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
