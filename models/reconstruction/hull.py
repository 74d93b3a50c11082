"""The visual hull by voting, as a signed distance field whose silhouettes have sub-pixel accuracy."""

# Shapes: V view, H = W = side in pixels, R voxels along the cube's side, K voxel

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from models.reconstruction.box import Box, Cells
from models.reconstruction.views import Cameras, Views

AT_ONCE = 2_000_000
"""Voxels projected into all views at once, which bounds the memory."""
COARSE = 32
"""Voxels along the cube's side in the coarse hull that finds the object's size."""
REFINEMENT = 4
"""Voxels along the side of a block of which one coarse voxel decides whether the surface can pass through it."""


@dataclass(frozen=True)
class Field:
    """A signed distance field on a cube around the origin, sampled at the voxels' centres."""

    sdf: npt.NDArray[np.float32]
    """(R, R, R) indexed x, y, z; negative inside; world units."""
    extent: float
    """Half the side of the cube, in world units."""

    @property
    def voxel(self) -> float:
        """Side of a voxel, in world units."""
        return 2 * self.extent / len(self.sdf)

    @property
    def is_empty(self) -> bool:
        """Whether no voxel is inside."""
        return not bool((self.sdf < 0).any())

    @property
    def box(self) -> Box:
        """The whole cube."""
        corner = torch.full((3,), self.extent)
        return Box(-corner, corner)

    def cells_within(self, margin: float, multiple: int) -> Cells:
        """Return the smallest block of voxels that holds all whose distance is below `margin` world units.

        It begins and ends at multiples of `multiple`, which must divide R.
        """
        near = self.sdf < margin
        cells = []
        for axis in range(3):
            held = np.flatnonzero(near.any(axis=tuple(other for other in range(3) if other != axis)))
            cells.append(slice(int(held[0]) // multiple * multiple, (int(held[-1]) // multiple + 1) * multiple))
        return cells[0], cells[1], cells[2]


def visual_hull(views: Views, *, resolution: int, vote: float, extent: float) -> Field:
    """Compute the set of points that at least a share `vote` of the views see as foreground.

    Each silhouette becomes a distance field of its image, so the hull's surface lies between pixels where the alpha
    says so. A point outside an image takes the value of the nearest border pixel: an object that leaves the image is
    not cut off there. The distance is exact at the surface and a bound elsewhere; where no surface can be, it is
    interpolated from a coarse grid.

    Args:
        views: Posed images with alpha.
        resolution: R.
        vote: Share of the views that must agree, in (0, 1]; 1 is the visual hull proper.
        extent: Half the side of the cube, in world units.
    """
    carver = _Carver.of(views, vote)
    if resolution % REFINEMENT or resolution // REFINEMENT < REFINEMENT:
        return Field(carver.distances(_centres(resolution, extent)).reshape((resolution,) * 3).numpy(), extent)
    side = resolution // REFINEMENT
    coarse = carver.distances(_centres(side, extent)).reshape((side,) * 3)
    grown = torch.nn.functional.interpolate(coarse[None, None], scale_factor=REFINEMENT, mode="trilinear")[0, 0]
    reach = (math.sqrt(3) / 2 + 1 / REFINEMENT) * 2 * extent / side  # half a diagonal, and a fine voxel more
    blocks = _tiled((coarse.abs() < reach).nonzero())
    fine = (blocks + 0.5) * (2 * extent / resolution) - extent
    grown[tuple(blocks.T)] = carver.distances(fine)
    return Field(grown.numpy(), extent)


def _centres(resolution: int, extent: float) -> torch.Tensor:
    """Centres (R^3, 3) of all voxels of the cube."""
    along = (torch.arange(resolution, dtype=torch.float32) + 0.5) * (2 * extent / resolution) - extent
    return torch.cartesian_prod(along, along, along)


def _tiled(blocks_B3: torch.Tensor) -> torch.Tensor:
    """Indices (B * REFINEMENT^3, 3) of the fine voxels of blocks."""
    within = torch.cartesian_prod(*(torch.arange(REFINEMENT),) * 3)
    return (REFINEMENT * blocks_B3[:, None] + within).flatten(0, 1)


@dataclass(frozen=True)
class _Carver:
    """The silhouettes of the views and how many of them must agree."""

    silhouettes: torch.Tensor
    """(V, H, W) signed distances in pixels, positive inside."""
    cameras: Cameras
    rank: int
    """A point is inside when its `rank`-th smallest distance over the views is."""

    @classmethod
    def of(cls, views: Views, vote: float) -> "_Carver":
        needed = math.ceil(vote * len(views.rgba) - 1e-9)
        return cls(silhouettes_of(views), views.cameras, len(views.rgba) - needed + 1)

    def distances(self, points_K3: torch.Tensor) -> torch.Tensor:
        """Signed distances (K,) in world units, negative inside."""
        parts = []
        for part in torch.split(points_K3, AT_ONCE // 8):
            inside_VK = sample_silhouettes(self.silhouettes, self.cameras, part)
            parts.append(-(inside_VK.amin(dim=0) if self.rank == 1 else inside_VK.kthvalue(self.rank, dim=0).values))
        return torch.cat(parts) if parts else points_K3.new_zeros(0)


def enclosing_extent(views: Views, vote: float) -> float:
    """Estimate half the side of the smallest cube around the origin that holds the hull, from a coarse hull.

    The coarse grid cannot miss a thin part: every point lies within half a diagonal of a voxel's centre, and the hull's
    field never exceeds the true distance.
    """
    cameras = views.cameras
    reach = np.linalg.norm(cameras.centres, axis=1) * cameras.tan_half_fov
    coarse = visual_hull(views, resolution=COARSE, vote=vote, extent=float(reach.max()))
    near = np.argwhere(coarse.sdf < math.sqrt(3) / 2 * coarse.voxel)
    if not len(near):
        return coarse.extent
    return float(np.abs((near + 0.5) * coarse.voxel - coarse.extent).max())


def silhouettes_of(views: Views) -> torch.Tensor:
    """Signed distances (V, H, W) of all views' silhouettes, as `silhouette_distance`."""
    return torch.from_numpy(np.stack([silhouette_distance(image[..., 3]) for image in views.rgba]))


def silhouette_distance(alpha: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Signed distance (H, W) to the silhouette's edge in pixels, positive inside.

    In pixels along the edge the distance follows from alpha, elsewhere from the distance transform.
    """
    inside = alpha > 0.5
    if inside.all() or not inside.any():
        return np.full(alpha.shape, alpha.shape[0] if inside.all() else -alpha.shape[0], dtype=np.float32)
    distance = np.where(inside, ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside))
    sign = np.where(inside, 1.0, -1.0)
    return np.where(distance > 1, sign * (distance - 0.5), alpha - 0.5).astype(np.float32)


def sample_silhouettes(silhouettes_VHW: torch.Tensor, cameras: Cameras, points_K3: torch.Tensor) -> torch.Tensor:
    """Sample the silhouettes' distance fields at points: (V, K), in world units at each point's depth.

    `Cameras.project` for all views at once, in float32 on torch, because billions of voxels are projected; points
    behind a camera are moved in front of it.
    """
    camera_from_world = torch.from_numpy(np.linalg.inv(cameras.world_from_camera)).float()
    slope_V11 = torch.from_numpy(cameras.tan_half_fov).float()[:, None, None]
    in_camera = points_K3 @ camera_from_world[:, :3, :3].transpose(1, 2) + camera_from_world[:, None, :3, 3]
    depth = -in_camera[..., 2:].clamp(max=-1e-3)
    position = in_camera[..., :2] * torch.tensor([1.0, -1.0]) / (depth * slope_V11)  # [-1, 1] across the image
    value = torch.nn.functional.grid_sample(
        silhouettes_VHW[:, None], position[:, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    pixel = 2 * depth * slope_V11 / cameras.side  # world units
    return value[:, 0, 0] * pixel[..., 0]
