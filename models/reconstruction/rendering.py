"""The loss of rendered rays: colours, silhouettes and, where the views have them, normals."""

# Shapes: B ray, S sample on a ray, M visible section

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from models.reconstruction.grids import Grids
from models.reconstruction.rays import Rays, place_samples

MASK_WEIGHT = 0.5
EDGE = 4.0
"""Sharpness in 1/pixel of the opacity at silhouettes: it rises as steeply as the alpha of an antialiased edge."""
VISIBLE = 2e-3
"""Rendering weight below which a section's colour is not computed."""
LEAST_OPACITY = 1e-2
"""Sum of rendering weights below which a ray has no colour."""


def neus_weights(sdf_BS: Tensor, sharpness: float) -> Tensor:
    """Rendering weights (B, S - 1) of the sections of rays: opacity (NeuS eq. 13) times transmittance (eq. 11)."""
    outside_BS = torch.sigmoid(sdf_BS * sharpness)
    opacity = ((outside_BS[:, :-1] - outside_BS[:, 1:]) / (outside_BS[:, :-1] + 1e-5)).clamp(0, 1)
    transmittance_BS = torch.cumprod(torch.cat([torch.ones_like(opacity[:, :1]), 1 - opacity + 1e-7], dim=1), dim=1)
    return opacity * transmittance_BS[:, :-1]


def render_loss(grids: Grids, rays: Rays, sharpness: float, normal_weight: float, generator: torch.Generator) -> Tensor:
    """Rendering loss of a batch of rays: L1 on colours, cross-entropy on the mask, cosine between normals.

    The mask is held against the opacity where the ray comes closest to the surface or deepest into it (IDR's mask loss,
    Yariv et al. 2020), with the sharpness of a pixel's footprint: the surface lies where alpha is one half, and a soft
    density, which sees far around, neither swells what is thin nor blurs outlines. Colours are means over the
    density for the same reason.

    Args:
        grids: The level.
        rays: The batch.
        sharpness: Of the density, in 1/world unit.
        normal_weight: Weight of the normals.
        generator: Source of the jitter, on the CPU.
    """

    def distances_at(along_BS: Tensor) -> Tensor:
        return grids.distances_at(rays.at(along_BS).flatten(0, 1)).view_as(along_BS)

    with torch.no_grad():
        along_BS = place_samples(rays, lambda along: neus_weights(distances_at(along), sharpness / 2), generator)
    sdf_BS = distances_at(along_BS)
    weights = neus_weights(sdf_BS, sharpness)
    is_visible = weights.detach() > VISIBLE
    points_M3 = rays.at((along_BS[:, 1:] + along_BS[:, :-1]) / 2)[is_visible]
    normals_M3 = grids.normals_at(points_M3)
    averaged = partial(_averaged, weights, is_visible)
    opacity_B = weights.sum(dim=1).detach()
    is_seen = opacity_B > LEAST_OPACITY
    colours = averaged(grids.colours_at(points_M3, normals_M3)) * rays.alpha[:, None]
    loss = ((colours - rays.premultiplied).abs() * is_seen[:, None]).mean()
    if normal_weight > 0:
        agreement = (functional.normalize(averaged(normals_M3), dim=1) * rays.normals).sum(dim=1)
        has_normal = rays.normals.square().sum(dim=1)  # 1 or 0
        loss = loss + normal_weight * ((has_normal - agreement) * is_seen * rays.alpha).mean()
    return loss + MASK_WEIGHT * _mask_loss(sdf_BS, along_BS, rays)


def _averaged(weights: Tensor, is_visible: Tensor, values_MC: Tensor) -> Tensor:
    """Mean values (B, C) along rays by rendering weight; 0 where nothing is visible."""
    ray, weight = is_visible.nonzero()[:, 0], weights[is_visible][:, None]
    total = torch.zeros(len(weights), 1, device=weights.device).index_add(0, ray, weight)
    summed = torch.zeros(len(weights), values_MC.shape[1], device=weights.device).index_add(0, ray, weight * values_MC)
    return summed / total.clamp(min=LEAST_OPACITY)


def _mask_loss(sdf_BS: Tensor, along_BS: Tensor, rays: Rays) -> Tensor:
    deepest_B1 = sdf_BS.detach().argmin(dim=1, keepdim=True)
    pixel_B1 = along_BS.gather(1, deepest_B1) * rays.spread[:, None]
    logit = -EDGE * sdf_BS.gather(1, deepest_B1) / pixel_B1
    return functional.binary_cross_entropy_with_logits(logit[:, 0], rays.alpha)
