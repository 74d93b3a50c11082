"""Where the cameras stand. World: Z up, right-handed; a camera looks down its -Z with +Y up (OpenGL)."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on a sphere that looks at the object's centre, the origin of the world (sec. 4.1)."""

    name: str
    """Name of the view inside its object: t00.. targets, c00.. conditions."""
    azimuth_deg: float
    """Counted from +X towards +Y."""
    elevation_deg: float
    """Above the horizon, between -90 and 90."""
    distance: float
    """Distance from the centre, in units of the object's longest side."""
    fov_deg: float
    """Horizontal and vertical field of view: images are square."""

    @property
    def world_from_camera(self) -> Matrix:
        """Return the 4x4 pose in OpenGL axes."""
        return look_at_origin(self.azimuth_deg, self.elevation_deg, self.distance)

    def pixel_from_camera(self, side: int) -> Matrix:
        """Return the 3x3 intrinsics of an image of `side` pixels; pixel centres are at half integers, y points down."""
        focal = 0.5 * side / math.tan(math.radians(self.fov_deg) / 2)
        return np.array([[focal, 0.0, -side / 2], [0.0, -focal, -side / 2], [0.0, 0.0, -1.0]])

    def as_json(self) -> dict[str, Any]:
        """Return all fields, and the pose as nested lists under `world_from_camera`."""
        return asdict(self) | {"world_from_camera": self.world_from_camera.tolist()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Camera":
        """Return the camera that `as_json` wrote; the pose is derived from the other fields, so it is ignored."""
        return cls(**{key: value for key, value in row.items() if key != "world_from_camera"})


def look_at_origin(azimuth_deg: float, elevation_deg: float, distance: float) -> Matrix:
    """Return the 4x4 pose of a camera on a sphere around the origin that looks at it, up being +Z.

    Args:
        azimuth_deg: Counted from +X towards +Y.
        elevation_deg: Counted from the horizon.
        distance: From the origin, in world units.

    Raises ValueError when the elevation is 90 degrees or more either way, where up is not defined.
    """
    if abs(elevation_deg) >= 90:
        raise ValueError(f"elevation {elevation_deg} deg; it must lie strictly between -90 and 90")
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    backward = np.array(
        [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    pose[:3, 3] = backward * distance
    return pose


def project(camera: Camera, points: Matrix, side: int) -> tuple[Matrix, Matrix]:
    """Project world points (N, 3) into an image of `side` pixels.

    Returns pixel coordinates (N, 2), x right and y down, and depths (N,) along the camera's axis in world units.
    """
    camera_from_world = np.linalg.inv(camera.world_from_camera)
    in_camera = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    homogeneous = in_camera @ camera.pixel_from_camera(side).T
    return homogeneous[:, :2] / homogeneous[:, 2:], -in_camera[:, 2]
