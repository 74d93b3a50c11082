"""The visual hull by voting, as a signed distance field whose silhouettes have sub-pixel accuracy."""

# Shapes: R voxels along the cube's side, K voxel, B block

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.reconstruction.box import Box, Cells
from models.reconstruction.silhouettes import Silhouettes

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


def visual_hull(silhouettes: Silhouettes, *, resolution: int, vote: float, extent: float) -> Field:
    """Compute the set of points that at least a share `vote` of the views see as foreground.

    Each silhouette is a distance field of its image, so the hull's surface lies between pixels where the alpha says so.
    A point outside an image takes the value of the nearest border pixel: an object that leaves the image is not cut off
    there. The distance is exact at the surface and a bound elsewhere; where no surface can be, it is interpolated from
    a coarse grid.

    Args:
        silhouettes: Of the views.
        resolution: R.
        vote: Share of the views that must agree, in (0, 1]; 1 is the visual hull proper.
        extent: Half the side of the cube, in world units.
    """
    if resolution % REFINEMENT or resolution // REFINEMENT < REFINEMENT:
        everywhere = _distances(silhouettes, vote, centres_of_voxels(resolution, extent))
        return Field(everywhere.reshape((resolution,) * 3).numpy(), extent)
    side = resolution // REFINEMENT
    coarse = _distances(silhouettes, vote, centres_of_voxels(side, extent)).reshape((side,) * 3)
    grown = torch.nn.functional.interpolate(coarse[None, None], scale_factor=REFINEMENT, mode="trilinear")[0, 0]
    reach = (math.sqrt(3) / 2 + 1 / REFINEMENT) * 2 * extent / side  # half a diagonal, and a fine voxel more
    blocks = _tiled((coarse.abs() < reach).nonzero())
    fine = (blocks + 0.5) * (2 * extent / resolution) - extent
    grown[tuple(blocks.T)] = _distances(silhouettes, vote, fine)
    return Field(grown.numpy(), extent)


def centres_of_voxels(resolution: int, extent: float) -> torch.Tensor:
    """Centres (R^3, 3) of all voxels of a cube around the origin; `extent` is half its side."""
    along = (torch.arange(resolution, dtype=torch.float32) + 0.5) * (2 * extent / resolution) - extent
    return torch.cartesian_prod(along, along, along)


def _tiled(blocks_B3: torch.Tensor) -> torch.Tensor:
    """Indices (B * REFINEMENT^3, 3) of the fine voxels of blocks."""
    within = torch.cartesian_prod(*(torch.arange(REFINEMENT),) * 3)
    return (REFINEMENT * blocks_B3[:, None] + within).flatten(0, 1)


def _distances(silhouettes: Silhouettes, vote: float, points_K3: torch.Tensor) -> torch.Tensor:
    """Signed distances (K,) in world units, negative where enough views agree."""
    rank = len(silhouettes) - math.ceil(vote * len(silhouettes) - 1e-9) + 1
    return -torch.cat(
        [
            inside_VK.amin(dim=0) if rank == 1 else inside_VK.kthvalue(rank, dim=0).values
            for inside_VK in silhouettes.sample(points_K3)
        ]
    )


def enclosing_extent(silhouettes: Silhouettes, vote: float) -> float:
    """Estimate half the side of the smallest cube around the origin that holds the hull, from a coarse hull.

    The coarse grid cannot miss a thin part: every point lies within half a diagonal of a voxel's centre, and the hull's
    field never exceeds the true distance.
    """
    cameras = silhouettes.cameras
    reach = np.linalg.norm(cameras.centres, axis=1) * cameras.tan_half_fov
    coarse = visual_hull(silhouettes, resolution=COARSE, vote=vote, extent=float(reach.max()))
    near = np.argwhere(coarse.sdf < math.sqrt(3) / 2 * coarse.voxel)
    if not len(near):
        return coarse.extent
    return float(np.abs((near + 0.5) * coarse.voxel - coarse.extent).max())
