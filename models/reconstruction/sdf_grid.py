"""A dense SDF grid fitted to posed RGBA views by NeuS volume rendering (Wang et al. 2021), in plain PyTorch.

Our own in place of the paper's grid NeuS (sec. 5.3, instant-nsr-pl), which needs CUDA extensions, since this must run
on CPUs too. What is learned is the offset from the visual hull, coarse to fine, so that thin parts, which no coarse
grid holds, come through the coarse levels as the silhouettes have them.
"""

# Shapes: X Y Z voxels of the box around the hull

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from models.reconstruction.box import Box
from models.reconstruction.grids import Grids
from models.reconstruction.hull import Field
from models.reconstruction.rays import MARGIN, Rays, near_surface, rays_of
from models.reconstruction.rendering import render_loss
from models.reconstruction.shading import BASES
from models.reconstruction.views import Views

# The values here and in rendering.py were found by make bench-reconstruct on scanned objects; no paper states them.
LEVELS = ((4, 0.3), (2, 0.35), (1, 0.35))
"""Each level's voxels, in those of the result, and its share of the steps."""
EIKONAL_WEIGHT = 0.05
SMOOTH_WEIGHT = 0.01
TINT_WEIGHT = 0.02
"""Weight of the differences between neighbouring colours: what shading explains is not painted on."""
SDF_STEP = 0.4
"""Initial learning rate of the distances, in voxels."""
COLOUR_STEP = 0.05
"""Initial learning rate of the colours' logits."""
SHADING_STEP = 0.02
"""Initial learning rate of the shading's coefficients."""
DECAY = 0.1
"""Learning rates fall to this share over each level."""
SHARPNESS = (0.5, 4.0)
"""Sharpness of the logistic density in 1/voxel, at the first and at the last step of a level (NeuS learns it)."""
SETTLED = (0.3, 1.0)
"""Final offsets in voxels: below the first they are taken for noise, since silhouettes place a surface more exactly
than colours do; from the second on they stay."""
SETTLING_WIDTH = 0.7
"""Standard deviation in voxels of the Gaussian that the final offsets are smoothed with."""
SLAB = 16
"""Thickness in voxels of the random slab on which the grid is regularised."""


@dataclass(frozen=True)
class Schedule:
    """How long a field is fitted and to what."""

    iterations: int
    """Steps of Adam."""
    batch: int
    """Rays per step."""
    normal_weight: float
    """Of the views' normals beside their colours; above 0 the views must have normals."""


def fit_sdf(views: Views, hull: Field, schedule: Schedule, *, seed: int, device: str) -> Field:
    """Fit a distance field to the pixels of all views, starting from the hull.

    Args:
        views: Posed images with alpha.
        hull: The initial field; its resolution, a multiple of 4, is the result's.
        schedule: Of all levels together.
        seed: Of the choice of rays, the jitter and the slabs that are regularised.
        device: Where to compute, such as "cpu" or "cuda".
    """
    generator = torch.Generator().manual_seed(seed)
    rays = near_surface(rays_of(views, hull), hull).to(device)
    cells = hull.cells_within(MARGIN * hull.voxel, multiple=LEVELS[0][0])
    whole = torch.from_numpy(np.ascontiguousarray(hull.sdf[cells]))[None, None].to(device)
    box = Box.of_cells(cells, hull.voxel, hull.extent, device)
    offset, shading = torch.zeros(1, 1, 1, 1, 1, device=device), torch.zeros(BASES, 3, device=device)
    tint = torch.zeros(1, 3, 1, 1, 1, device=device)
    for coarseness, share in LEVELS:
        coarse = functional.avg_pool3d(whole, coarseness)
        offset, tint = (functional.interpolate(one, coarse.shape[2:], mode="trilinear") for one in (offset, tint))
        start = Grids(box, coarseness * hull.voxel, whole, coarse, offset, tint, shading)
        part = replace(schedule, iterations=round(share * schedule.iterations))
        fitted = _fit_level(start, rays, part, generator)
        offset, tint, shading = fitted.offset, fitted.tint, fitted.shading
    sdf = hull.sdf.copy()
    sdf[cells] += settled(offset[0, 0].cpu().numpy(), hull.voxel)
    return Field(sdf, hull.extent)


def settled(offset: npt.NDArray[np.float32], voxel: float) -> npt.NDArray[np.float32]:
    """Smooth offsets (X, Y, Z) from the hull and bring small ones to 0, so that a surface near the hull lies on it.

    Between the bounds of SETTLED they grow linearly from 0 to what they were (firm shrinkage, Gao and Bruce 1997).
    """
    smooth = ndimage.gaussian_filter(offset, SETTLING_WIDTH)
    low, high = (bound * voxel for bound in SETTLED)
    size = np.abs(smooth)
    kept = np.where(size < high, np.clip(size - low, 0, None) * high / (high - low), size)
    return np.copysign(kept, smooth).astype(np.float32)


def _fit_level(start: Grids, rays: Rays, schedule: Schedule, generator: torch.Generator) -> Grids:
    offset, tint, shading = (one.clone().requires_grad_() for one in (start.offset, start.tint, start.shading))
    grids = replace(start, offset=offset, tint=tint, shading=shading)
    rates = ((offset, SDF_STEP * grids.voxel), (tint, COLOUR_STEP), (shading, SHADING_STEP))
    optimizer = torch.optim.Adam([{"params": [values], "lr": rate} for values, rate in rates], betas=(0.9, 0.99))
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY ** (1 / max(schedule.iterations, 1)))
    for step in range(schedule.iterations):
        sharpness = (SHARPNESS[0] + (SHARPNESS[1] - SHARPNESS[0]) * step / schedule.iterations) / grids.voxel
        batch = rays.pick(torch.randint(len(rays), (schedule.batch,), generator=generator))
        smooth = grids.smoothed()
        loss = render_loss(smooth, batch, sharpness, schedule.normal_weight, generator)
        loss = loss + _shape_loss(smooth, generator) + TINT_WEIGHT * _roughness(tint)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        decay.step()
    return replace(grids, offset=offset.detach(), tint=tint.detach(), shading=shading.detach()).smoothed()


def _roughness(grid: Tensor) -> Tensor:
    """Mean absolute difference between neighbouring voxels."""
    return torch.stack([grid.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).sum()


def _shape_loss(grids: Grids, generator: torch.Generator) -> Tensor:
    """Regularise a random slab: unit gradient (eikonal loss, NeuS eq. 17) and a small Laplacian near the surface."""
    voxel, first = grids.voxel, max(1, grids.offset.shape[2] - SLAB - 1)
    start = int(torch.randint(0, first, (1,), generator=generator))
    slab = grids.coarse_hull[0, 0, start : start + SLAB + 2] + grids.offset[0, 0, start : start + SLAB + 2]
    base = slab[:-1, :-1, :-1]
    steps = (slab[1:, :-1, :-1] - base, slab[:-1, 1:, :-1] - base, slab[:-1, :-1, 1:] - base)
    slope = torch.sqrt(torch.stack(steps).square().sum(dim=0) / voxel**2 + 1e-8)
    core = slab[1:-1, 1:-1, 1:-1]
    around = (
        slab[:-2, 1:-1, 1:-1]
        + slab[2:, 1:-1, 1:-1]
        + slab[1:-1, :-2, 1:-1]
        + slab[1:-1, 2:, 1:-1]
        + slab[1:-1, 1:-1, :-2]
        + slab[1:-1, 1:-1, 2:]
    )
    bend = ((around - 6 * core).abs() / voxel * (core.abs() < 3 * voxel)).mean()
    return EIKONAL_WEIGHT * (slope - 1).square().mean() + SMOOTH_WEIGHT * bend
