"""Two objects made of balls, seen by any camera: rays and formulas of their own, nothing of the code under test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

Pixels = np.ndarray
SIDE = 32
SAMPLES = 3
"""Rays along each side of a pixel."""
LIGHT = np.array([0.2, 0.3, 0.5])


@dataclass(frozen=True)
class Balls:
    """Centre, radius and colour of each; they fill a box whose longest side is 1, centred at the origin."""

    centres: np.ndarray
    radii: np.ndarray
    colours: np.ndarray

    def shade(self, ball: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """Colour from 0 to 255 of points with unit normals on the balls of these numbers."""
        return self.colours[ball] * (0.6 + 0.4 * normals @ LIGHT)[..., None]

    def mesh(self) -> trimesh.Trimesh:
        """Triangles with vertex colours."""
        parts = []
        for number, (centre, radius) in enumerate(zip(self.centres, self.radii, strict=True)):
            part = trimesh.creation.icosphere(3, radius)
            colours = self.shade(np.full(len(part.vertices), number), part.vertices / radius)
            part.visual.vertex_colors = np.rint(colours).astype(np.uint8)
            parts.append(part.apply_translation(centre))
        whole = trimesh.util.concatenate(parts)
        assert isinstance(whole, trimesh.Trimesh)
        return whole

    def seen(self, origins: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Premultiplied colour and alpha, 0 to 255, of each ray; the last axis of both is x, y, z."""
        offset = self.centres - origins[..., None, :]
        along = (offset * rays[..., None, :]).sum(axis=-1)
        inside = self.radii**2 - (offset**2).sum(axis=-1) + along**2
        distance = np.where(inside > 0, along - np.sqrt(inside.clip(0)), np.inf)
        ball = distance.argmin(axis=-1)
        nearest = distance.min(axis=-1)
        is_hit = np.isfinite(nearest)[..., None]
        points = origins + rays * np.where(is_hit[..., 0], nearest, 0)[..., None]
        normals = (points - self.centres[ball]) / self.radii[ball][..., None]
        return np.concatenate([self.shade(ball, normals), np.full_like(is_hit, 255.0, dtype=float)], axis=-1) * is_hit


def _fitted(centres: list[list[float]], radii: list[float], colours: list[list[int]]) -> Balls:
    points, sizes = np.array(centres, dtype=float), np.array(radii, dtype=float)
    low, high = (points - sizes[:, None]).min(axis=0), (points + sizes[:, None]).max(axis=0)
    scale = 1 / (high - low).max()
    return Balls((points - (low + high) / 2) * scale, sizes * scale, np.array(colours, dtype=float))


OBJECTS = {
    "pile": _fitted(
        [[0, 0, 0], [0.5, 0.1, 0.1], [-0.1, 0.3, 0.5]],
        [0.4, 0.2, 0.25],
        [[205, 80, 60], [60, 140, 210], [240, 200, 70]],
    ),
    "pair": _fitted([[0, 0, 0], [0.3, -0.5, -0.2]], [0.45, 0.25], [[90, 170, 90], [200, 60, 160]]),
}
"""Neither looks the same from any two sides."""


def upright(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Right, up and backward of a camera, as columns: an independent way through Euler angles."""
    turn, lift = np.radians(azimuth_deg), np.radians(elevation_deg)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(lift), 0, -np.sin(lift)], [0, 1, 0], [np.sin(lift), 0, np.cos(lift)]])
    towards_x = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # right is +Y, up +Z, backward +X
    return about_z @ about_y @ towards_x


def turned_right(axes: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a camera about its own up axis around the object."""
    turn = np.radians(degrees)
    about_up = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    return axes @ about_up


def photo(
    balls: Balls,
    axes: np.ndarray,
    *,
    distance: float = 1.5,
    fov_deg: float = 49.13,
    width: float | None = None,
    side: int = SIDE,
) -> Pixels:
    """One antialiased view, uint8 (side, side, 4), straight alpha; orthographic where a width is given."""
    fine = (np.arange(side * SAMPLES) + 0.5) / (side * SAMPLES) - 0.5
    x, y = np.meshgrid(fine, -fine)
    right, up, backward = axes.T
    if width is None:
        tangent = 2 * np.tan(np.radians(fov_deg) / 2)
        rays = tangent * (x[..., None] * right + y[..., None] * up) - backward
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        origins = np.broadcast_to(backward * distance, rays.shape)
    else:
        rays = np.broadcast_to(-backward, (*x.shape, 3))
        origins = width * (x[..., None] * right + y[..., None] * up) + 5 * backward
    hit = balls.seen(origins, rays).reshape(side, SAMPLES, side, SAMPLES, 4).mean(axis=(1, 3))
    hit[..., :3] *= 255 / hit[..., 3:].clip(1e-6)
    return np.rint(hit).astype(np.uint8)


def on_background(rgba: Pixels, level: int) -> Pixels:
    """RGB (H, W, 3) on a grey of `level`."""
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + level * (1 - alpha)).astype(np.uint8)


def save(path: Path, pixels: Pixels) -> None:
    """Write a PNG file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
