"""What a fit changes, level by level: offsets from the hull's distances, colours and their shading."""

# Shapes: N point, X Y Z voxels of the box around the hull, x y z voxels of the level in the same box

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from models.reconstruction.box import Box
from models.reconstruction.shading import shading_bases

TETRAHEDRON = ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0))
"""Directions of the four samples whose differences make a gradient."""


@dataclass(frozen=True)
class Grids:
    """One level: grids that all fill the same box."""

    box: Box
    voxel: float
    """Of the level, in world units."""
    hull: Tensor
    """(1, 1, X, Y, Z) distances of the hull at the resolution of the result; they stay."""
    coarse_hull: Tensor
    """(1, 1, x, y, z) the same at the level's resolution."""
    offset: Tensor
    """(1, 1, x, y, z) distances added to the hull's, once they are smoothed."""
    tint: Tensor
    """(1, 3, x, y, z) logits of the colours before shading."""
    shading: Tensor
    """(BASES, 3) what the spherical harmonics of a normal add to these logits."""

    def smoothed(self) -> "Grids":
        """The same with the offsets averaged over 3 x 3 x 3 voxels, twice.

        A gradient through it moves whole patches of the surface instead of single voxels, which would leave it rough.
        """
        offset = functional.avg_pool3d(self.offset, 3, stride=1, padding=1, count_include_pad=False)
        offset = functional.avg_pool3d(offset, 3, stride=1, padding=1, count_include_pad=False)
        return replace(self, offset=offset)

    def distances_at(self, points_N3: Tensor) -> Tensor:
        """Signed distances (N,) in world units; the offsets are taken as they are."""
        return (self.box.sample(self.hull, points_N3) + self.box.sample(self.offset, points_N3))[:, 0]

    def normals_at(self, points_N3: Tensor) -> Tensor:
        """Unit vectors (N, 3) along the gradient of the distances, taken over two voxels of the level."""
        taps = torch.tensor(TETRAHEDRON, device=points_N3.device)
        around = (points_N3[:, None] + self.voxel / 3**0.5 * taps).flatten(0, 1)
        return functional.normalize(self.distances_at(around).view(-1, 4) @ taps, dim=1)

    def colours_at(self, points_N3: Tensor, normals_N3: Tensor) -> Tensor:
        """Colours (N, 3) in [0, 1]."""
        return torch.sigmoid(self.box.sample(self.tint, points_N3) + shading_bases(normals_N3) @ self.shading)
