"""Rays through the pixels of posed views, and where along them the field is sampled."""

# Shapes: B ray, S sample on a ray

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from models.reconstruction.hull import Field
from models.reconstruction.views import Views

MARGIN = 4.0
"""Distance in voxels around the hull within which the surface may move."""
PROBES = 96
"""Points on a ray that find where it comes near the hull."""
PROBED_AT_ONCE = 16384
"""Rays probed at once, which bounds the memory."""
EVEN_SAMPLES = 32
"""Stratified samples that find where on the ray the weight lies."""
EVEN_STRIDE = 2
"""Every second stratified sample is rendered, to see what the surface does elsewhere."""
FINE_SAMPLES = 24
"""Samples that are drawn by weight."""


@dataclass(frozen=True)
class Rays:
    """The rays of B pixels, clipped to the bounding box of the hull."""

    origins: Tensor
    """(B, 3) centres of the cameras."""
    directions: Tensor
    """(B, 3) of unit length."""
    premultiplied: Tensor
    """(B, 3) colour times alpha of the pixel."""
    alpha: Tensor
    """(B,) alpha of the pixel."""
    near: Tensor
    """(B,) distance at which the ray enters the box."""
    far: Tensor
    """(B,) distance at which it leaves the box; smaller than `near` for a miss."""
    spread: Tensor
    """(B,) width of the pixel per distance, both in world units."""
    normals: Tensor
    """(B, 3) unit vectors in the world; 0 where the view has no surface or no normals."""

    def __len__(self) -> int:
        return len(self.alpha)

    def pick(self, index: Tensor) -> "Rays":
        """Select rays by indices or by a mask, on any device."""
        return Rays(*(getattr(self, item.name)[index.to(self.alpha.device)] for item in fields(self)))

    def to(self, device: str) -> "Rays":
        """Copy all tensors to a device."""
        return Rays(*(getattr(self, item.name).to(device) for item in fields(self)))

    def at(self, distances_BS: Tensor) -> Tensor:
        """Points (B, S, 3) at distances along the rays."""
        return self.origins[:, None] + distances_BS[..., None] * self.directions[:, None]


def rays_of(views: Views, hull: Field) -> Rays:
    """Make one ray per pixel, clipped to the bounding box of the hull plus a margin."""
    cameras = views.cameras
    directions = np.concatenate([cameras.directions(view).reshape(-1, 3) for view in range(len(cameras))])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = np.repeat(cameras.centres, cameras.side**2, axis=0)
    cells = hull.cells_within(MARGIN * hull.voxel, multiple=1)
    low = np.array([cell.start for cell in cells]) * hull.voxel - hull.extent
    high = np.array([cell.stop for cell in cells]) * hull.voxel - hull.extent
    with np.errstate(divide="ignore"):
        enter, leave = (low - origins) / directions, (high - origins) / directions
    near, far = np.minimum(enter, leave).max(axis=1), np.maximum(enter, leave).min(axis=1)
    rgba, spread = views.rgba.reshape(-1, 4), np.repeat(1 / cameras.focal_px, cameras.side**2)
    normals = np.zeros_like(origins) if views.normals is None else views.normals.reshape(-1, 3)
    colours = rgba[:, :3] * rgba[:, 3:]
    arrays = (origins, directions, colours, rgba[:, 3], np.clip(near, 0, None), far, spread, normals)
    return Rays(*(torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for array in arrays))


def near_surface(rays: Rays, hull: Field) -> Rays:
    """Select the rays that come near the hull, the others constrain nothing, and clip them to where they do."""
    grid, cube = torch.from_numpy(hull.sdf)[None, None], hull.box
    share = torch.linspace(0, 1, PROBES)
    parts = []
    for part in (rays.pick(index) for index in torch.split(torch.arange(len(rays)), PROBED_AT_ONCE)):
        part = part.pick(part.far > part.near)
        if not len(part):
            continue
        step = (part.far - part.near) / (PROBES - 1)
        distances = part.near[:, None] + (part.far - part.near)[:, None] * share
        near = cube.sample(grid, part.at(distances).flatten(0, 1)).view(-1, PROBES) < MARGIN * hull.voxel
        first = near.float().argmax(dim=1)
        last = PROBES - 1 - near.flip(1).float().argmax(dim=1)
        clipped = replace(part, near=part.near + (first - 1) * step, far=part.near + (last + 1) * step)
        parts.append(clipped.pick(near.any(dim=1)))
    return Rays(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(Rays)))


def place_samples(rays: Rays, weigh: Callable[[Tensor], Tensor], generator: torch.Generator) -> Tensor:
    """Choose increasing distances (B, S): some stratified, the rest by importance sampling.

    Args:
        rays: The rays.
        weigh: Rendering weights (B, S - 1) of the sections between distances (B, S).
        generator: Source of the jitter, on the CPU.
    """
    count, device = len(rays), rays.alpha.device
    far = torch.maximum(rays.far, rays.near + 1e-3)
    jitter = torch.rand(count, EVEN_SAMPLES, generator=generator).to(device)
    share = (torch.arange(EVEN_SAMPLES, device=device) + jitter) / EVEN_SAMPLES
    even = rays.near[:, None] + (far - rays.near)[:, None] * share
    mass = torch.cumsum(weigh(even) + 1e-3, dim=1)
    jitter = torch.rand(count, FINE_SAMPLES, generator=generator).to(device)
    level = (torch.arange(FINE_SAMPLES, device=device) + jitter) / FINE_SAMPLES * mass[:, -1:]
    section = torch.searchsorted(mass, level).clamp(max=EVEN_SAMPLES - 2)
    inside = torch.rand(count, FINE_SAMPLES, generator=generator).to(device)
    fine = torch.lerp(even.gather(1, section), even.gather(1, section + 1), inside)
    return torch.cat([even[:, ::EVEN_STRIDE], fine], dim=1).sort(dim=1).values
