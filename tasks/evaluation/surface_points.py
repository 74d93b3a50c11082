"""Points on the part of a mesh that cameras see: as SyncDreamer takes them, and uniform by area (sec. 5.3).

Only what the cameras see counts, so inner walls of a ground truth do not. Points are drawn here and not by
trimesh.sample, whose other points would move every score made so far.
"""

# Shapes: N point, F face, V view, H = W = side in pixels

from dataclasses import dataclass
from functools import cache

import numpy as np

from models.reconstruction.mesh import DEPTH_TOLERANCE, Mesh, area_vectors
from models.reconstruction.raster import Integers, rasterise
from models.reconstruction.views import Cameras, Floats
from render.views import SYNCDREAMER_FOV_DEG, ring_cameras, syncdreamer_cameras
from tasks.artifacts.views import as_cameras

SIDE = 256
"""Pixels of SyncDreamer's depth maps."""
NUM_RING = 16
"""SyncDreamer's cameras, which come first."""
NUM_BELOW, BELOW_DEG = 8, -30.0
"""Cameras that see what SyncDreamer's do not, the underside; its Chamfer distance ignores them."""
VOXEL = 0.01
"""Depth points are thinned to one for each voxel of this side, in units of the object's longest side."""
OVERSAMPLING = 4
"""Points drawn on a surface for each one whose distance is measured: many are hidden, and distances to a surface that
more points lie on are nearer to the truth."""


@cache
def judges() -> Cameras:
    """Return the cameras that decide which surface counts: SyncDreamer's 16, then 8 from below."""
    below = ring_cameras(views=NUM_BELOW, elevation_deg=BELOW_DEG, fov_deg=SYNCDREAMER_FOV_DEG, distance=1.5)
    return as_cameras([*syncdreamer_cameras(), *below], SIDE)


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh."""

    mesh: Mesh
    points_N3: Floats
    face_N: Integers
    """The face on which each lies."""

    def chosen(self, rows: Integers | slice) -> "SurfacePoints":
        """Return some of the points."""
        return SurfacePoints(self.mesh, self.points_N3[rows], self.face_N[rows])

    @property
    def normals(self) -> Floats:
        """Unit normal (N, 3) of the face of each point; 0 for a degenerate face, on which no point lies."""
        normal = area_vectors(self.corners)
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)

    @property
    def corners(self) -> Floats:
        """Corners (N, 3, 3) of the face of each point."""
        return self.mesh.vertices[self.mesh.faces[self.face_N]].astype(np.float64)


def depth_maps(mesh: Mesh, cameras: Cameras) -> Floats:
    """Return depths (V, H, W) along the optical axis, inf where there is no surface."""
    return np.stack([rasterise(mesh.vertices, mesh.faces, cameras, view).depth for view in range(len(cameras))])


def depth_points(depth_VHW: Floats, cameras: Cameras) -> Floats:
    """Back-project every pixel that sees the surface and thin the points to one for each voxel of side VOXEL.

    Args:
        depth_VHW: As `depth_maps` makes it; may have fewer views than there are cameras.
        cameras: Their cameras.

    Returns:
        (N, 3), the mean of the points of each voxel. The grid begins half a voxel below the lowest coordinates, as
        Open3D's voxel_down_sample has it.
    """
    clouds = []
    for view, depth in enumerate(depth_VHW):
        row, column = np.nonzero(np.isfinite(depth))
        rays = cameras.directions(view)[row, column]
        clouds.append(cameras.centres[view] + rays * depth[row, column, None])
    points = np.concatenate(clouds)
    if not len(points):
        return points
    cell = np.floor((points - points.min(axis=0)) / VOXEL + 0.5).astype(np.int64)
    width = cell.max(axis=0) + 1
    _, group, count = np.unique(np.ravel_multi_index(cell.T, tuple(width)), return_inverse=True, return_counts=True)
    return np.stack([np.bincount(group, points[:, axis]) / count for axis in range(3)], axis=1)


def visible_points(
    mesh: Mesh, depth_VHW: Floats, cameras: Cameras, count: int, rng: np.random.Generator
) -> SurfacePoints:
    """Draw `count` points uniform by area and keep those that at least one camera sees.

    A point counts as seen where it lies at most DEPTH_TOLERANCE pixels behind the depth map.
    """
    drawn = surface_points(mesh, count, rng)
    seen = np.zeros(len(drawn.points_N3), dtype=bool)
    for view, surface in enumerate(depth_VHW):
        hidden = np.flatnonzero(~seen)
        pixels, depth = cameras.project(view, drawn.points_N3[hidden])
        column, row = np.clip(np.floor(pixels), 0, cameras.side - 1).astype(int).T
        inside = ((pixels >= 0) & (pixels < cameras.side)).all(axis=1)
        near = depth < surface[row, column] + DEPTH_TOLERANCE * depth / cameras.focal_px[view]
        seen[hidden] = inside & near & (depth > 0)
    return drawn.chosen(np.flatnonzero(seen))


def surface_points(mesh: Mesh, count: int, rng: np.random.Generator) -> SurfacePoints:
    """Draw `count` points on a mesh, uniform by area."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    a, b, c = np.moveaxis(corners, 1, 0)
    area = np.linalg.norm(area_vectors(corners), axis=1)
    face = rng.choice(len(area), count, p=area / area.sum())
    root, share = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    points = (1 - root) * a[face] + root * (1 - share) * b[face] + root * share * c[face]
    return SurfacePoints(mesh, points, face)
