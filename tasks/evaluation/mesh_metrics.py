"""How close a mesh is to the ground truth (sec. 5.3), after SyncDreamer: both in one frame, no ICP, no rescaling.

Only the surface that the cameras can see counts, so inner walls of a ground truth do not. Points are drawn here and not
by trimesh.sample, whose other points would move every score made so far.
"""

# Shapes: N point, F face, R voxel along the side

from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from scipy.spatial import cKDTree
from trimesh.visual import ColorVisuals

from models.reconstruction.mesh import DEPTH_TOLERANCE, Mesh
from models.reconstruction.raster import covered_pixels, rasterise
from models.reconstruction.views import Cameras, Floats

F_SCORE_DISTANCE = 0.02
"""Two surfaces agree where they are nearer than this, in units of the object's longest side."""
OVERSAMPLING = 4
"""Surface points drawn per point wanted, as many of them are hidden."""
DEPTH_SIDE = 128
"""Pixels of the depth images that decide what is hidden."""
OFF_GRID = (0.0137, 0.0071)
"""Shift of the rays in voxels, so that none runs along an edge of an axis-aligned mesh."""
NO_COLOUR = (190, 186, 180)
"""sRGB that stands for the colours of a mesh without colours."""


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


def visible_points(mesh: Mesh, cameras: Cameras, count: int, rng: np.random.Generator) -> Floats:
    """Draw points (N, 3), N <= count, uniform by area over the part of the surface that at least one camera sees.

    A point counts as seen where it lies at most DEPTH_TOLERANCE pixels behind the depth image.
    """
    points = surface_points(mesh, OVERSAMPLING * count, rng)
    small = Cameras(cameras.world_from_camera, cameras.fov_deg, DEPTH_SIDE)
    seen = np.zeros(len(points), dtype=bool)
    for view in range(len(small)):
        surface = rasterise(mesh.vertices, mesh.faces, small, view).depth
        hidden = np.flatnonzero(~seen)
        pixels, depth = small.project(view, points[hidden])
        column, row = np.clip(np.floor(pixels), 0, DEPTH_SIDE - 1).astype(int).T
        inside = ((pixels >= 0) & (pixels < DEPTH_SIDE)).all(axis=1)
        near = depth < surface[row, column] + DEPTH_TOLERANCE * depth / small.focal_px[view]
        seen[hidden] = inside & near & (depth > 0)
    return points[seen][:count]


def surface_points(mesh: Mesh, count: int, rng: np.random.Generator) -> Floats:
    """Draw points (count, 3) on a mesh, uniform by area."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]].astype(np.float64) for corner in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), count, p=area / area.sum())
    root, share = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return (1 - root) * a[face] + root * (1 - share) * b[face] + root * share * c[face]


def chamfer_and_f_score(predicted_N3: Floats, target_N3: Floats) -> tuple[float, float]:
    """Compare two point sets by chamfer distance and F-score (sec. 5.3; docs/paper.md, 3.1).

    Args:
        predicted_N3: Points on the reconstructed surface, in units of the object's longest side.
        target_N3: Points on the true surface; their number may differ.

    Returns half the sum of the two mean distances (not squared) to the nearest point of the other set, and the F-score
    of points that have one within F_SCORE_DISTANCE.
    """
    to_target = np.asarray(cKDTree(target_N3).query(predicted_N3)[0])
    to_predicted = np.asarray(cKDTree(predicted_N3).query(target_N3)[0])
    precision, recall = (float((distance < F_SCORE_DISTANCE).mean()) for distance in (to_target, to_predicted))
    f_score = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return float(to_target.mean() + to_predicted.mean()) / 2, f_score


def solid_voxels(mesh: Mesh, resolution: int) -> npt.NDArray[np.bool_]:
    """Return the voxels (R, R, R) of the cube [-1, 1]^3 whose centres lie inside the mesh.

    Six rays per centre, along both directions of each axis, count signed crossings: the centre is inside when the sum
    is not zero for most of them. Overlapping closed parts unite, cavities stay empty, and a hole or a flipped triangle
    misleads only the rays through it.
    """
    votes = np.zeros((resolution,) * 3, dtype=np.int8)
    for axis in range(3):
        below, total = _crossings(mesh, axis, resolution)
        inside = (below != 0).astype(np.int8) + (below != total).astype(np.int8)
        votes += np.moveaxis(inside, 2, axis)
    return votes > 3


def _crossings(mesh: Mesh, axis: int, resolution: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count signed crossings along `axis`, the last index: below each voxel centre (R, R, R), on the line (R, R, 1)."""
    across = [other for other in range(3) if other != axis]
    voxels = (mesh.vertices.astype(np.float64) + 1) * resolution / 2
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
