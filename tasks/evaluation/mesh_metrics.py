"""Meshes as they are scored (sec. 5.3), after SyncDreamer: in one frame, no ICP, no rescaling; and their volume IoU."""

# Shapes: F face, R voxel along the side

from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from trimesh.visual import ColorVisuals

from models.reconstruction.mesh import NO_COLOUR, Mesh
from models.reconstruction.raster import covered_pixels

OFF_GRID = (0.0137, 0.0071)
"""Shift of the rays in voxels, so that none runs along an edge of an axis-aligned mesh."""


def read_mesh(path: Path) -> Mesh:
    """Read a mesh file.

    Raises ValueError when it holds no triangles.
    """
    loaded = trimesh.load_mesh(path, process=False)
    if not isinstance(loaded, trimesh.Trimesh) or not len(loaded.faces):
        raise ValueError(f"{path} holds no triangles")
    colours = np.tile(np.array(NO_COLOUR, dtype=np.uint8), (len(loaded.vertices), 1))
    visual = loaded.visual
    if isinstance(visual, ColorVisuals) and visual.kind == "vertex":
        colours = np.asarray(visual.vertex_colors)[:, :3].astype(np.uint8)
    return Mesh(np.asarray(loaded.vertices, dtype=np.float32), np.asarray(loaded.faces, dtype=np.int32), colours)


def solid_voxels(mesh: Mesh, resolution: int) -> npt.NDArray[np.bool_]:
    """Return which points (R, R, R) of a grid over the cube [-1, 1]^3 lie inside the mesh.

    The coordinates are -1 + 2 i / R for i from 0 to R - 1, as mesh2sdf has them, which SyncDreamer takes. Six rays per
    point, along both directions of each axis, count signed crossings: the point is inside when the sum is not zero for
    most of them. Overlapping closed parts unite, cavities stay empty, and a hole or a flipped triangle
    misleads only the rays through it.
    """
    votes = np.zeros((resolution,) * 3, dtype=np.int8)
    for axis in range(3):
        below, total = _crossings(mesh, axis, resolution)
        inside = (below != 0).astype(np.int8) + (below != total).astype(np.int8)
        votes += np.moveaxis(inside, 2, axis)
    return votes > 3


def _crossings(mesh: Mesh, axis: int, resolution: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count signed crossings along `axis`, the last index: below each point (R, R, R), on the line (R, R, 1)."""
    across = [other for other in range(3) if other != axis]
    voxels = (mesh.vertices.astype(np.float64) + 1) * resolution / 2 + 0.5  # a point is the centre of its voxel
    corners = voxels[mesh.faces][..., across] + np.array(OFF_GRID)
    edge, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    sign = np.sign(edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]).astype(np.int64)
    counts = np.zeros(resolution * resolution * (resolution + 1))
    for hit in covered_pixels(corners, resolution, resolution):
        height = np.einsum("kc,kc->k", hit.weights, voxels[mesh.faces[hit.face]][..., axis])
        first_above = np.clip(np.ceil(height - 0.5), 0, resolution).astype(np.int64)
        cell = (hit.column * resolution + hit.row) * (resolution + 1) + first_above
        counts += np.bincount(cell, sign[hit.face], minlength=len(counts))
    below = np.cumsum(counts.reshape(resolution, resolution, resolution + 1).astype(np.int64), axis=2)
    return below[..., :-1], below[..., -1:]


def volume_iou(predicted: npt.NDArray[np.bool_], target: npt.NDArray[np.bool_]) -> float | None:
    """Return the intersection over union of two voxel grids, None when the target has no volume."""
    if not target.any():
        return None
    return float((predicted & target).sum() / (predicted | target).sum())
