"""Posed images and their cameras as plain arrays.

World: Z up; a camera looks down its -Z with +Y up; pixel centres at half integers. Knows neither torch nor the
renderer, whose cameras (render/cameras.py) it does not import because models and render do not know each other.
"""

# Shapes: V view, H = W = side in pixels, N point

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Cameras:
    """V pinhole cameras with square images.

    Raises:
        ValueError: The two arrays disagree about the number of views.
    """

    world_from_camera: npt.NDArray[np.float64]
    """(V, 4, 4) poses."""
    fov_deg: npt.NDArray[np.float64]
    """(V,) full field of view, the same along both sides."""
    side: int
    """Pixels along each side of the image."""

    def __post_init__(self) -> None:
        """Raise ValueError when the two arrays disagree about the number of views."""
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
        return 0.5 * self.side / self.tan_half_fov

    @property
    def tan_half_fov(self) -> npt.NDArray[np.float64]:
        """(V,) half the width of the image at depth 1."""
        return np.tan(np.radians(self.fov_deg) / 2)

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """(V, 3) positions in the world."""
        return self.world_from_camera[:, :3, 3]

    def project(self, view: int, points_N3: Floats) -> tuple[Floats, Floats]:
        """Project points into one view.

        Args:
            view: Number of the camera.
            points_N3: World coordinates; a point in the camera's own plane has no finite projection.

        Returns:
            Pixel coordinates (N, 2), x right and y down, and depths (N,) along the optical axis, negative behind the
            camera.
        """
        pose = self.world_from_camera[view]
        in_camera = (points_N3 - pose[:3, 3]) @ pose[:3, :3]
        depth = -in_camera[:, 2]
        offset = self.focal_px[view] * in_camera[:, :2] / depth[:, None]
        return offset * [1.0, -1.0] + self.side / 2, depth

    def directions(self, view: int) -> Floats:
        """World directions (H, W, 3) of the pixel centres, of depth 1 along the optical axis (not of unit length)."""
        centre = np.arange(self.side) + 0.5 - self.side / 2
        x, y = np.meshgrid(centre / self.focal_px[view], -centre / self.focal_px[view])
        return np.stack([x, y, -np.ones_like(x)], axis=-1) @ self.world_from_camera[view, :3, :3].T


@dataclass(frozen=True)
class Views:
    """V posed RGBA images of one object.

    Raises:
        ValueError: The images are not square RGBA, not as many as the cameras, or the normals of another size.
    """

    rgba: npt.NDArray[np.float32]
    """(V, H, W, 4) in [0, 1], straight alpha."""
    world_from_camera: npt.NDArray[np.float64]
    """(V, 4, 4) poses."""
    fov_deg: npt.NDArray[np.float64]
    """(V,) full field of view, the same along both sides."""
    normals: npt.NDArray[np.float32] | None = None
    """(V, H, W, 3) unit vectors in the world, 0 where there is no surface; None where nobody knows them."""

    def __post_init__(self) -> None:
        """Raise ValueError when an array has the wrong shape."""
        shape = self.rgba.shape
        if len(shape) != 4 or shape[0] != len(self.fov_deg) or shape[1] != shape[2] or shape[3] != 4:
            raise ValueError(f"images have the shape {shape}; expected ({len(self.fov_deg)}, side, side, 4)")
        if self.normals is not None and self.normals.shape != (*shape[:3], 3):
            raise ValueError(f"normals have the shape {self.normals.shape}; expected {(*shape[:3], 3)}")

    @property
    def cameras(self) -> Cameras:
        """The cameras alone."""
        return Cameras(self.world_from_camera, self.fov_deg, self.rgba.shape[1])
