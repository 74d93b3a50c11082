"""The silhouettes of posed views as distance fields of their images, and how they are sampled at points in space."""

# Shapes: V view, H = W = side in pixels, K point

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from models.reconstruction.views import Cameras, Views

AT_ONCE = 250_000
"""Points projected into all views at once, which bounds the memory."""


@dataclass(frozen=True)
class Silhouettes:
    """The silhouettes of V views, each with sub-pixel accuracy."""

    distances: torch.Tensor
    """(V, H, W) signed distances in pixels, positive inside."""
    cameras: Cameras
    """The V cameras."""

    @classmethod
    def of(cls, views: Views) -> "Silhouettes":
        """Measure the silhouettes of views by their alpha, each as `silhouette_distance`."""
        distances = np.stack([silhouette_distance(image[..., 3]) for image in views.rgba])
        return cls(torch.from_numpy(distances), views.cameras)

    def __len__(self) -> int:
        return len(self.distances)

    def sample(self, points_K3: torch.Tensor) -> Iterator[torch.Tensor]:
        """Sample the distance fields at points: parts of (V, K), in world units at each point's depth.

        `Cameras.project` for all views at once, in float32 on torch, because billions of voxels are projected; points
        behind a camera are moved in front of it.
        """
        camera_from_world = torch.from_numpy(np.linalg.inv(self.cameras.world_from_camera)).float()
        slope_V11 = torch.from_numpy(self.cameras.tan_half_fov).float()[:, None, None]
        for part_K3 in torch.split(points_K3, AT_ONCE):
            in_camera = part_K3 @ camera_from_world[:, :3, :3].transpose(1, 2) + camera_from_world[:, None, :3, 3]
            depth = -in_camera[..., 2:].clamp(max=-1e-3)
            position = in_camera[..., :2] * torch.tensor([1.0, -1.0]) / (depth * slope_V11)  # [-1, 1] across the image
            value = torch.nn.functional.grid_sample(
                self.distances[:, None], position[:, None], mode="bilinear", padding_mode="border", align_corners=False
            )
            pixel = 2 * depth * slope_V11 / self.cameras.side  # world units
            yield value[:, 0, 0] * pixel[..., 0]


def silhouette_distance(alpha: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Signed distance (H, W) to the silhouette's edge in pixels, positive inside.

    In pixels along the edge the distance follows from alpha, elsewhere from the distance transform.
    """
    inside = alpha > 0.5
    if inside.all() or not inside.any():
        return np.full(alpha.shape, alpha.shape[0] if inside.all() else -alpha.shape[0], dtype=np.float32)
    distance = np.where(inside, ndimage.distance_transform_edt(inside), ndimage.distance_transform_edt(~inside))
    sign = np.where(inside, 1.0, -1.0)
    return np.where(distance > 1, sign * (distance - 0.5), alpha - 0.5).astype(np.float32)
