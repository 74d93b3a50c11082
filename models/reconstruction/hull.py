"""The visual hull by voting, as a signed distance field whose silhouettes have sub-pixel accuracy."""

# Shapes: V view, H = W = side in pixels, R voxels along the cube's side, K voxel

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from models.reconstruction.views import Cameras, Views

SLAB_VOXELS = 2_000_000
"""Voxels projected into all views at once, which bounds the memory."""
COARSE = 32
"""Voxels along the cube's side in the coarse hull that finds the object's size."""


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


def visual_hull(views: Views, *, resolution: int, vote: float, extent: float) -> Field:
    """Compute the set of points that at least a share `vote` of the views see as foreground.

    Each silhouette becomes a distance field of its image, so the hull's surface lies between pixels where the alpha
    says so. A point outside an image takes the value of the nearest border pixel: an object that leaves the image is
    not cut off there. The distance is exact at the surface and a bound elsewhere.

    Args:
        views: Posed images with alpha.
        resolution: R.
        vote: Share of the views that must agree, in (0, 1]; 1 is the visual hull proper.
        extent: Half the side of the cube, in world units.
    """
    needed = math.ceil(vote * len(views.rgba) - 1e-9)
    rank = len(views.rgba) - needed + 1  # the voxel is inside when its rank-th smallest distance is
    silhouettes = torch.from_numpy(np.stack([silhouette_distance(image[..., 3]) for image in views.rgba]))
    centres = (torch.arange(resolution, dtype=torch.float32) + 0.5) * (2 * extent / resolution) - extent
    depth = max(1, SLAB_VOXELS // resolution**2)
    slabs = []
    for xs in torch.split(centres, depth):
        points = torch.cartesian_prod(xs, centres, centres)
        inside_VK = sample_silhouettes(silhouettes, views.cameras, points)
        slabs.append(-inside_VK.kthvalue(rank, dim=0).values.reshape(len(xs), resolution, resolution))
    return Field(torch.cat(slabs).numpy(), extent)


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
