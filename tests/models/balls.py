"""A solid without a renderer: balls of different colours, seen by real cameras."""

import numpy as np

from models.data.pixels import Pixels
from render.cameras import Camera

AZIMUTHS, ELEVATIONS = 8, (-30.0, 0.0, 30.0, 60.0)
CENTERS = np.array([[0.0, 0.0, 0.0], [0.3, 0.0, 0.1], [-0.1, 0.28, 0.2], [0.0, -0.15, -0.35]])
RADII = np.array([0.3, 0.2, 0.17, 0.15])
COLORS = np.array([[205, 80, 60], [70, 140, 210], [240, 200, 70], [90, 170, 90]])


def targets() -> list[Camera]:
    """The paper's 32."""
    angles = [(360 * column / AZIMUTHS, row) for row in ELEVATIONS for column in range(AZIMUTHS)]
    return [Camera(f"t{index:02d}", azimuth, row, 1.5, 60.0) for index, (azimuth, row) in enumerate(angles)]


def condition() -> Camera:
    """One that stands at column 0."""
    return Camera("c00", 0.0, 15.0, 1.7, 60.0)


def balls(camera: Camera, side: int, samples: int = 4) -> Pixels:
    """(side, side, 4), each pixel the mean of samples x samples rays."""
    fine = side * samples
    pose, focal = camera.world_from_camera, 0.5 * fine / np.tan(np.radians(camera.fov_deg) / 2)
    x, y = np.meshgrid(np.arange(fine) + 0.5 - fine / 2, np.arange(fine) + 0.5 - fine / 2)
    rays = np.stack([x, -y, np.full_like(x, -focal)], axis=-1) @ pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    to_center = CENTERS - pose[:3, 3]
    along = np.einsum("hwc,nc->hwn", rays, to_center)
    inside = RADII**2 - (to_center**2).sum(axis=1) + along**2
    distance = np.where(inside > 0, along - np.sqrt(inside.clip(0)), np.inf)
    nearest = distance.argmin(axis=-1)
    is_hit = np.isfinite(distance.min(axis=-1))
    points = pose[:3, 3] + rays * np.where(is_hit, distance.min(axis=-1), 0)[..., None]
    light = 0.65 + 0.35 * ((points - CENTERS[nearest]) / RADII[nearest][..., None])[..., 2]
    alpha = _mean(is_hit[..., None].astype(float), samples)
    color = _mean(is_hit[..., None] * light[..., None] * COLORS[nearest], samples) / alpha.clip(1e-6)
    return np.concatenate([color, 255 * alpha], axis=-1).round().astype(np.uint8)


def _mean(image: np.ndarray, samples: int) -> np.ndarray:
    side = len(image) // samples
    return image.reshape(side, samples, side, samples, -1).mean(axis=(1, 3))
