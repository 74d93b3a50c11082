"""A dense SDF and colour grid fitted to posed RGBA views by NeuS volume rendering (Wang et al. 2021), in plain PyTorch.

Our own in place of the paper's grid NeuS (sec. 5.3, instant-nsr-pl), which needs CUDA extensions, since this must run
on CPUs too; monocular normals are left out.
"""

# Shapes: B ray, S sample on a ray, N point, C channel, R voxels along the cube's side

from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models.reconstruction.hull import Field
from models.reconstruction.rays import MARGIN, Rays, place_samples, rays_of
from models.reconstruction.views import Views

# These values were found on shapes with a known SDF (32 views, 32^2 to 64^2 pixels); no paper states them.
BATCH = 1024
"""Rays per step."""
MASK_WEIGHT = 0.5
EIKONAL_WEIGHT = 0.05
SMOOTH_WEIGHT = 0.05
SDF_STEP = 0.15
"""Initial learning rate of the distances, in voxels."""
COLOUR_STEP = 0.05
"""Initial learning rate of the colours' logits."""
DECAY = 0.1
"""Learning rates fall to this share over each level."""
SHARPNESS = (1.0, 4.0)
"""Sharpness of the logistic density in 1/voxel, at the first and at the last step of a level (NeuS learns it)."""
COARSE_SHARE = 0.45
"""Share of the iterations that run at half the resolution."""
SLAB = 16
"""Thickness in voxels of the random slab on which the grid is regularised."""
PROBES = 64
"""Points on a ray that decide whether it comes near the hull."""
PROBED_AT_ONCE = 16384
"""Rays probed at once, which bounds the memory."""
VISIBLE = 2e-3
"""Rendering weight below which a sample's colour is not computed."""


def fit_sdf(
    views: Views, hull: Field, *, resolution: int, iterations: int, seed: int, device: str
) -> tuple[Field, npt.NDArray[np.float32]]:
    """Fit a distance field and colours to the pixels of all views, starting from the hull.

    A voxel much smaller than a pixel's footprint makes the surface worse.

    Args:
        views: Posed images with alpha.
        hull: The initial field.
        resolution: R; the first part of the fit runs at half of it.
        iterations: Steps of Adam in both parts together.
        seed: Of the choice of rays, the jitter and the slabs that are regularised.
        device: Where to compute, such as "cpu" or "cuda".

    Returns:
        The field, and its colours (R, R, R, 3) in [0, 1].
    """
    generator = torch.Generator().manual_seed(seed)
    rays = _near_surface(rays_of(views, hull), hull).to(device)
    sdf = torch.from_numpy(hull.sdf)[None, None].to(device)
    colour = torch.zeros(1, 3, *hull.sdf.shape, device=device)
    coarse = round(COARSE_SHARE * iterations)
    for side, steps in ((resolution // 2, coarse), (resolution, iterations - coarse)):
        sdf, colour = (functional.interpolate(grid, size=(side,) * 3, mode="trilinear") for grid in (sdf, colour))
        sdf, colour = _fit_level(sdf, colour, rays, hull.extent, steps, generator)
    colours = torch.sigmoid(colour)[0].permute(1, 2, 3, 0)
    return Field(sdf[0, 0].cpu().numpy(), hull.extent), colours.cpu().numpy()


def _fit_level(
    sdf: Tensor, colour: Tensor, rays: Rays, extent: float, steps: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    sdf, colour = sdf.clone().requires_grad_(), colour.clone().requires_grad_()
    voxel = 2 * extent / sdf.shape[-1]
    optimizer = torch.optim.Adam(
        [{"params": [sdf], "lr": SDF_STEP * voxel}, {"params": [colour], "lr": COLOUR_STEP}], betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, DECAY ** (1 / max(steps, 1)))
    for step in range(steps):
        sharpness = (SHARPNESS[0] + (SHARPNESS[1] - SHARPNESS[0]) * step / steps) / voxel
        batch = rays.pick(torch.randint(len(rays), (BATCH,), generator=generator))
        loss = _render_loss(sdf, colour, batch, extent, sharpness, generator)
        loss = loss + _shape_loss(sdf, voxel, generator)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return sdf.detach(), colour.detach()


def _near_surface(rays: Rays, hull: Field) -> Rays:
    """Select the rays that come near the hull's surface: the others constrain nothing."""
    grid = torch.from_numpy(hull.sdf)[None, None]
    share = torch.linspace(0, 1, PROBES)
    is_near = []
    for index in torch.split(torch.arange(len(rays)), PROBED_AT_ONCE):
        part = rays.pick(index)
        distances = part.near[:, None] + (part.far - part.near)[:, None] * share
        nearest = sample_grid(grid, part.at(distances).flatten(0, 1), hull.extent).view(-1, PROBES).min(dim=1).values
        is_near.append((nearest < MARGIN * hull.voxel) & (part.far > part.near))
    return rays.pick(torch.cat(is_near))


def neus_weights(sdf_BS: Tensor, sharpness: float) -> Tensor:
    """Rendering weights (B, S - 1) of the sections of rays: opacity (NeuS eq. 13) times transmittance (eq. 11)."""
    outside_BS = torch.sigmoid(sdf_BS * sharpness)
    opacity = ((outside_BS[:, :-1] - outside_BS[:, 1:]) / (outside_BS[:, :-1] + 1e-5)).clamp(0, 1)
    transmittance_BS = torch.cumprod(torch.cat([torch.ones_like(opacity[:, :1]), 1 - opacity + 1e-7], dim=1), dim=1)
    return opacity * transmittance_BS[:, :-1]


def sample_grid(grid_1CRRR: Tensor, points_N3: Tensor, extent: float) -> Tensor:
    """Interpolate a grid indexed x, y, z at points (trilinear); returns (N, C)."""
    position = (points_N3 / extent).flip(-1)[None, None, None]
    return functional.grid_sample(grid_1CRRR, position, padding_mode="border", align_corners=False)[0, :, 0, 0].t()


def _render_loss(
    sdf: Tensor, colour: Tensor, rays: Rays, extent: float, sharpness: float, generator: torch.Generator
) -> Tensor:
    """Rendering loss of a batch of rays: L1 on premultiplied colour and cross-entropy on the mask."""

    def weigh(distances_BS: Tensor, sharpness: float) -> Tensor:
        values = sample_grid(sdf, rays.at(distances_BS).flatten(0, 1), extent)
        return neus_weights(values.view_as(distances_BS), sharpness)

    with torch.no_grad():
        distances = place_samples(rays, partial(weigh, sharpness=sharpness / 2), generator)
    weights = weigh(distances, sharpness)
    is_visible = weights.detach() > VISIBLE
    middle = rays.at((distances[:, 1:] + distances[:, :-1]) / 2)[is_visible]
    seen = torch.sigmoid(sample_grid(colour, middle, extent))
    rendered = torch.zeros_like(rays.premultiplied).index_add(
        0, is_visible.nonzero()[:, 0], weights[is_visible][:, None] * seen
    )
    opacity = weights.sum(dim=1).clamp(1e-4, 1 - 1e-4)
    return (rendered - rays.premultiplied).abs().mean() + MASK_WEIGHT * functional.binary_cross_entropy(
        opacity, rays.alpha
    )


def _shape_loss(sdf: Tensor, voxel: float, generator: torch.Generator) -> Tensor:
    """Regularise a random slab: unit gradient (eikonal loss, NeuS eq. 17) and a small Laplacian near the surface."""
    start = int(torch.randint(0, max(1, sdf.shape[2] - SLAB - 1), (1,), generator=generator))
    slab = sdf[0, 0, start : start + SLAB + 2]
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
