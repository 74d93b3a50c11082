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
    """One posed view: a camera on a sphere that looks at the object's centre (sec. 4.1)."""

    name: str
    """Name of the view inside its object: t00.. targets, c00.. conditions."""
    azimuth_deg: float
    elevation_deg: float
    distance: float
    """From the centre, in units of the object's longest side."""
    fov_deg: float
    """Horizontal and vertical field of view."""

    @property
    def world_from_camera(self) -> Matrix:
        """4x4 pose."""
        return look_at_origin(self.azimuth_deg, self.elevation_deg, self.distance)

    def pixel_from_camera(self, side: int) -> Matrix:
        """3x3 intrinsics for a square image of `side` pixels; pixel centres lie at half integers, y down."""
        focal = 0.5 * side / math.tan(math.radians(self.fov_deg) / 2)
        return np.array([[focal, 0.0, -side / 2], [0.0, -focal, -side / 2], [0.0, 0.0, -1.0]])

    def as_json(self) -> dict[str, Any]:
        """All fields, plus the pose as nested lists."""
        return asdict(self) | {"world_from_camera": self.world_from_camera.tolist()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Camera":
        """Inverse of as_json; the pose is derived, so it is ignored."""
        return cls(**{key: value for key, value in row.items() if key != "world_from_camera"})


def look_at_origin(azimuth_deg: float, elevation_deg: float, distance: float) -> Matrix:
    """Pose of a camera at the given angles; azimuth counts from +X towards +Y, elevation from the horizon.

    |elevation| must stay below 90 degrees, where "up" is still defined.
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
    """Pixel coordinates (N, 2) and depths (N,) of world points (N, 3)."""
    camera_from_world = np.linalg.inv(camera.world_from_camera)
    in_camera = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    homogeneous = in_camera @ camera.pixel_from_camera(side).T
    return homogeneous[:, :2] / homogeneous[:, 2:], -in_camera[:, 2]
