"""Diffuse shading as a function of the normal alone: spherical harmonics of order 2 (Ramamoorthi and Hanrahan 2001)."""

import torch
from torch import Tensor

BASES = 9


def shading_bases(normals_M3: Tensor) -> Tensor:
    """Return the nine polynomials of order 0 to 2 (M, BASES) of unit normals, each at most about 1."""
    x, y, z = normals_M3.unbind(dim=1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, y * z, z * x, x * x - y * y, 1.5 * z * z - 0.5], dim=1)
