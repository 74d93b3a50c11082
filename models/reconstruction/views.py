"""Posed images as plain arrays. World: Z up; a camera looks down its -Z with +Y up; pixel centres at half integers.

V views, H = W = side in pixels, N points.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Cameras:
    """Pinhole cameras with square images."""

    world_from_camera: npt.NDArray[np.float64]
    """(V, 4, 4) poses."""
    fov_deg: npt.NDArray[np.float64]
    """(V,) full field of view, the same along both sides."""
    side: int
    """Pixels along each side of the image."""

    def __post_init__(self) -> None:
        """Raise ValueError when the two arrays disagree."""
        if self.world_from_camera.shape != (len(self.fov_deg), 4, 4):
            raise ValueError(
                f"poses have the shape {self.world_from_camera.shape}, fields of view {self.fov_deg.shape}; "
                "expected (V, 4, 4) and (V,)"
            )

    def __len__(self) -> int:
        return len(self.fov_deg)

    @property
    def focal_px(self) -> npt.NDArray[np.float64]:
        """(V,) focal lengths in pixels."""
        return 0.5 * self.side / np.tan(np.radians(self.fov_deg) / 2)

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """(V, 3) positions in the world."""
        return self.world_from_camera[:, :3, 3]

    def project(self, view: int, points_N3: Floats) -> tuple[Floats, Floats]:
        """Pixel coordinates (N, 2), x right and y down, and depths (N,) along the optical axis."""
        pose = self.world_from_camera[view]
        in_camera = (points_N3 - pose[:3, 3]) @ pose[:3, :3]
        depth = -in_camera[:, 2]
        offset = self.focal_px[view] * in_camera[:, :2] / depth[:, None]
        return offset * [1.0, -1.0] + self.side / 2, depth

    def directions(self, view: int) -> Floats:
        """(H, W, 3) world directions of the pixel centres, of depth 1 along the optical axis (not unit length)."""
        centre = np.arange(self.side) + 0.5 - self.side / 2
        x, y = np.meshgrid(centre / self.focal_px[view], -centre / self.focal_px[view])
        return np.stack([x, y, -np.ones_like(x)], axis=-1) @ self.world_from_camera[view, :3, :3].T


@dataclass(frozen=True)
class Views:
    """Posed RGBA images of one object."""

    rgba: npt.NDArray[np.float32]
    """(V, H, W, 4) in [0, 1], straight alpha."""
    world_from_camera: npt.NDArray[np.float64]
    """(V, 4, 4)."""
    fov_deg: npt.NDArray[np.float64]
    """(V,)."""

    def __post_init__(self) -> None:
        """Raise ValueError when an array has the wrong shape."""
        shape = self.rgba.shape
        if len(shape) != 4 or shape[0] != len(self.fov_deg) or shape[1] != shape[2] or shape[3] != 4:
            raise ValueError(f"images have the shape {shape}; expected ({len(self.fov_deg)}, side, side, 4)")

    @property
    def cameras(self) -> Cameras:
        """The cameras alone."""
        return Cameras(self.world_from_camera, self.fov_deg, self.rgba.shape[1])
