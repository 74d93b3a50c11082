"""Triangle meshes: from a distance field, coloured from views or a colour grid, and as a PLY file.

N vertices, F faces.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure

from models.reconstruction.hull import Field
from models.reconstruction.raster import rasterise
from models.reconstruction.views import Floats, Views

FACING_POWER = 4
"""A view that looks at a vertex at an angle counts cos^4: head-on views are the sharpest."""
DEPTH_TOLERANCE = 1.5
"""Pixels: a vertex this far behind the rasterised surface is still seen."""


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh, counter-clockwise from outside."""

    vertices: npt.NDArray[np.float32]
    """(N, 3)."""
    faces: npt.NDArray[np.int32]
    """(F, 3)."""
    colours: npt.NDArray[np.uint8]
    """(N, 3) per vertex."""

    @property
    def normals(self) -> Floats:
        """(N, 3) unit vertex normals: the mean of the faces around, weighted by area."""
        corners = self.vertices[self.faces].astype(np.float64)
        of_face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = np.stack(
            [
                np.bincount(self.faces.ravel(), np.repeat(of_face[:, axis], 3), minlength=len(self.vertices))
                for axis in range(3)
            ],
            axis=1,
        )
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def extract_mesh(field: Field, colouring: Views | npt.NDArray[np.float32]) -> Mesh:
    """Marching cubes at zero of the largest solid part of `field`, closed at the cube's border.

    `colouring` is either the views (each vertex takes the colour it is seen with) or a colour grid (R, R, R, 3) in
    [0, 1]. Raises ValueError when nothing is inside.
    """
    if field.is_empty:
        raise ValueError("the field has no voxel inside; there is no surface to extract")
    solid = np.pad(_one_solid(field), 1, constant_values=field.voxel)
    corners, faces, _, _ = measure.marching_cubes(solid, 0.0)  # type: ignore[no-untyped-call]
    vertices = (corners - 0.5).astype(np.float32) * field.voxel - field.extent
    bare = Mesh(vertices, faces.astype(np.int32), np.zeros((len(vertices), 3), np.uint8))
    return painted(bare, colouring) if isinstance(colouring, Views) else _painted_from_grid(bare, field, colouring)


def painted(mesh: Mesh, views: Views) -> Mesh:
    """The mesh with each vertex in the colour that the views see there."""
    return replace(mesh, colours=_as_bytes(colours_from_views(mesh, views)))


def _as_bytes(colours: Floats) -> npt.NDArray[np.uint8]:
    return np.round(255 * np.clip(colours, 0, 1)).astype(np.uint8)


def _one_solid(field: Field) -> npt.NDArray[np.float32]:
    """The field with every part but the largest emptied (floaters) and every cavity filled."""
    parts, count = ndimage.label(field.sdf < 0)
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count > 1 else parts > 0
    filled = ndimage.binary_fill_holes(largest)
    kept = np.where((parts > 0) & ~largest, field.voxel, field.sdf)
    return np.where(filled & ~largest, -field.voxel, kept).astype(np.float32)


def _painted_from_grid(mesh: Mesh, field: Field, grid: npt.NDArray[np.float32]) -> Mesh:
    place = ((mesh.vertices + field.extent) / field.voxel - 0.5).T
    channels = [ndimage.map_coordinates(grid[..., channel], place, order=1, mode="nearest") for channel in range(3)]
    return replace(mesh, colours=_as_bytes(np.stack(channels, axis=1)))


def colours_from_views(mesh: Mesh, views: Views) -> Floats:
    """(N, 3) mean colour over the views that see each vertex, head-on views first; unseen ones copy a neighbour."""
    cameras, side = views.cameras, views.rgba.shape[1]
    normals = mesh.normals
    total, weight = np.zeros((len(mesh.vertices), 3)), np.zeros(len(mesh.vertices))
    for view, image in enumerate(views.rgba):
        pixels, depth = cameras.project(view, mesh.vertices)
        surface = rasterise(mesh.vertices, mesh.faces, cameras, view).depth
        column, row = np.clip(np.floor(pixels).astype(int), 0, side - 1).T
        to_camera = cameras.centres[view] - mesh.vertices
        facing = np.einsum("nk,nk->n", normals, to_camera) / np.linalg.norm(to_camera, axis=1)
        tolerance = DEPTH_TOLERANCE * depth / cameras.focal_px[view]
        seen = (depth < surface[row, column] + tolerance) & (pixels >= 0).all(axis=1) & (pixels < side).all(axis=1)
        sampled = _bilinear(image, pixels)
        share = seen * np.clip(facing, 0, None) ** FACING_POWER * sampled[:, 3]
        total += share[:, None] * sampled[:, :3]
        weight += share
    return _fill_unseen(mesh.vertices, total, weight)


def _bilinear(image: npt.NDArray[np.float32], pixels: Floats) -> Floats:
    """(N, 4) straight-alpha colours at pixel positions; interpolated premultiplied: the background adds nothing."""
    premultiplied = np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], axis=2)
    place = (pixels[:, ::-1] - 0.5).T
    values = [ndimage.map_coordinates(premultiplied[..., k], place, order=1, mode="nearest") for k in range(4)]
    sampled = np.stack(values, axis=1)
    sampled[:, :3] /= np.maximum(sampled[:, 3:], 1e-6)
    return sampled


def _fill_unseen(vertices: Floats, total: Floats, weight: Floats) -> Floats:
    seen = weight > 1e-6
    if not seen.any():
        return np.full_like(total, 0.5)
    colours = total / np.maximum(weight, 1e-6)[:, None]
    nearest = cKDTree(vertices[seen]).query(vertices[~seen])[1]
    colours[~seen] = colours[seen][nearest]
    return colours


def write_ply(mesh: Mesh, path: Path) -> None:
    """Binary little-endian PLY with vertex colours; equal meshes give equal bytes."""
    vertices = np.empty(len(mesh.vertices), dtype=[("position", "<f4", 3), ("colour", "u1", 3)])
    vertices["position"], vertices["colour"] = mesh.vertices, mesh.colours
    faces = np.empty(len(mesh.faces), dtype=[("corners", "u1"), ("indices", "<i4", 3)])
    faces["corners"], faces["indices"] = 3, mesh.faces
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property float {axis}" for axis in "xyz"]
    header += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header\n"]
    path.write_bytes("\n".join(header).encode() + vertices.tobytes() + faces.tobytes())
