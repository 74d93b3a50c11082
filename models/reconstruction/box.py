"""A box of voxels cut out of a cube, and how grids on it are sampled."""

# Shapes: N point, C channel, X Y Z voxels

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Cells = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in the world."""

    low: Tensor
    """(3,) smallest corner."""
    high: Tensor
    """(3,) largest corner."""

    @classmethod
    def of_cells(cls, cells: Cells, voxel: float, extent: float, device: str) -> "Box":
        """The box that voxels of a cube of half the side `extent` fill."""
        low = torch.tensor([one.start * voxel - extent for one in cells], dtype=torch.float32, device=device)
        high = torch.tensor([one.stop * voxel - extent for one in cells], dtype=torch.float32, device=device)
        return cls(low, high)

    def sample(self, grid_1CXYZ: Tensor, points_N3: Tensor) -> Tensor:
        """Interpolate a grid that fills the box at points (trilinear); returns (N, C)."""
        position = (2 * (points_N3 - self.low) / (self.high - self.low) - 1).flip(-1)[None, None, None]
        return functional.grid_sample(grid_1CXYZ, position, padding_mode="border", align_corners=False)[0, :, 0, 0].t()
