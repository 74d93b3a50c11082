"""Triangle meshes: extracted from a distance field, coloured from views, written as PLY."""

# Shapes: N vertex, F face, V view, H and W image size, R voxels along the cube's side

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage import measure
from trimesh.exchange.ply import export_ply

from models.reconstruction.hull import Field
from models.reconstruction.raster import rasterise
from models.reconstruction.views import Floats, Views

FACING_POWER = 4
"""Power of the cosine between a view and a vertex normal that weights the view: head-on views are the sharpest."""
DEPTH_TOLERANCE = 1.5
"""Distance in pixels behind the rasterised surface up to which a vertex counts as visible."""

NO_COLOUR = (190, 186, 180)
"""sRGB that stands for the colours of a mesh without colours."""


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh with vertex colours; faces are counter-clockwise seen from outside."""

    vertices: npt.NDArray[np.float32]
    """(N, 3) positions."""
    faces: npt.NDArray[np.int32]
    """(F, 3) indices of vertices."""
    colours: npt.NDArray[np.uint8]
    """(N, 3) sRGB."""

    @property
    def normals(self) -> Floats:
        """Unit vertex normals (N, 3): the mean of the adjacent faces' normals, weighted by area.

        trimesh weights them by angle, which would change the colours of every mesh.
        """
        corners = self.vertices[self.faces].astype(np.float64)
        of_face = area_vectors(corners)
        total = np.stack(
            [
                np.bincount(self.faces.ravel(), np.repeat(of_face[:, axis], 3), minlength=len(self.vertices))
                for axis in range(3)
            ],
            axis=1,
        )
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def area_vectors(corners_F33: Floats) -> Floats:
    """Normals (F, 3) of triangles with these corners, as long as twice their areas."""
    return np.cross(corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0])


def extract_mesh(field: Field, views: Views) -> Mesh:
    """Extract the surface of the largest connected solid of a field by marching cubes, closed at the cube's border.

    Args:
        field: The distance field.
        views: From which each vertex takes the colour that is seen there.

    Raises:
        ValueError: The field is empty.
    """
    if field.is_empty:
        raise ValueError("the field has no voxel inside; there is no surface to extract")
    solid = np.pad(_largest_solid(field), 1, constant_values=field.voxel)
    corners, faces, _, _ = measure.marching_cubes(solid, 0.0)  # type: ignore[no-untyped-call]
    vertices = (corners - 0.5).astype(np.float32) * field.voxel - field.extent
    return painted(Mesh(vertices, faces.astype(np.int32), np.zeros((len(vertices), 3), np.uint8)), views)


def painted(mesh: Mesh, views: Views) -> Mesh:
    """Colour each vertex as the views see it."""
    return replace(mesh, colours=as_bytes(colours_from_views(mesh, views)))


def as_bytes(colours: Floats) -> npt.NDArray[np.uint8]:
    """Colours in [0, 1] as 0 to 255, clipped and rounded."""
    return np.round(255 * np.clip(colours, 0, 1)).astype(np.uint8)


def _largest_solid(field: Field) -> npt.NDArray[np.float32]:
    """Empty every connected part but the largest (floaters), and fill every cavity."""
    parts, count = ndimage.label(field.sdf < 0)
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if count > 1 else parts > 0
    filled = ndimage.binary_fill_holes(largest)
    cleared = np.where((parts > 0) & ~largest, field.voxel, field.sdf)
    return np.where(filled & ~largest, -field.voxel, cleared).astype(np.float32)


def colours_from_views(mesh: Mesh, views: Views) -> Floats:
    """Colour (N, 3) in [0, 1] of each vertex, as `colours_at`."""
    return colours_at(mesh.vertices, mesh.normals, mesh, views)


def colours_at(points: Floats, normals: Floats, mesh: Mesh, views: Views) -> Floats:
    """Mean colour (N, 3) in [0, 1] of each point over the views that see it, head-on views weighted most.

    A point that no view sees takes the colour of the nearest seen one.

    Args:
        points: (N, 3), on the surface of the mesh.
        normals: (N, 3), unit vectors.
        mesh: What hides points from views.
        views: Posed images.
    """
    cameras, side = views.cameras, views.rgba.shape[1]
    total, weight = np.zeros((len(points), 3)), np.zeros(len(points))
    for view, image in enumerate(views.rgba):
        pixels, depth = cameras.project(view, points)
        surface = rasterise(mesh.vertices, mesh.faces, cameras, view).depth
        column, row = np.clip(np.floor(pixels).astype(int), 0, side - 1).T
        to_camera = cameras.centres[view] - points
        facing = np.einsum("nk,nk->n", normals, to_camera) / np.linalg.norm(to_camera, axis=1)
        tolerance = DEPTH_TOLERANCE * depth / cameras.focal_px[view]
        seen = (depth < surface[row, column] + tolerance) & (pixels >= 0).all(axis=1) & (pixels < side).all(axis=1)
        sampled = _bilinear(image, pixels)
        share = seen * np.clip(facing, 0, None) ** FACING_POWER * sampled[:, 3]
        total += share[:, None] * sampled[:, :3]
        weight += share
    return _fill_unseen(points, total, weight)


def _bilinear(image: npt.NDArray[np.float32], pixels: Floats) -> Floats:
    """Sample straight-alpha colours (N, 4) at pixel positions, interpolated premultiplied: no background."""
    premultiplied = np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], axis=2)
    position = (pixels[:, ::-1] - 0.5).T
    values = [ndimage.map_coordinates(premultiplied[..., k], position, order=1, mode="nearest") for k in range(4)]
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
    """Write a binary little-endian PLY with vertex colours; equal meshes give equal bytes."""
    path.write_bytes(encode_ply(mesh))


def encode_ply(mesh: Mesh) -> bytes:
    """Return the content of a binary little-endian PLY with vertex colours."""
    solid = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=mesh.colours, process=False)
    content: bytes = export_ply(solid)
    return content
