"""Frames of other people's meshes, and how each becomes that of the test sets: Z up, longest side 1, centred."""

# Shapes: N vertex

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from render.axes import UpAxis
from render.cameras import Camera, Matrix

Scale = Literal["as-is", "longest", "given"]


@dataclass(frozen=True)
class Frame:
    """Axes and scale of a system's meshes, relative to the view that it was given."""

    up: UpAxis = "Z"
    front: UpAxis = "X"
    """Axis that points from the object to the camera of the given view."""
    is_tilted: bool = False
    """Whether `up` and `front` are those of the given view's camera, not of the world."""
    scale: Scale = "as-is"
    """as-is: units of the longest side already; longest: the bounding box is centred and its longest side made 1;
    given: the object looks as large in the given view as it does to the system's own camera."""
    focal_over_distance: float = 1.0
    """For `given`: focal length in image widths over distance of the system's camera for its input."""

    def __post_init__(self) -> None:
        """Raise ValueError when up and front are one axis."""
        if self.up[-1] == self.front[-1]:
            raise ValueError(f"up is {self.up} and front {self.front}; they must be two different axes")

    def to_world(self, vertices_N3: Matrix, given: Camera) -> Matrix:
        """Return vertices (N, 3) in the frame of the test set, given its first condition view."""
        turned = vertices_N3 @ self._world_from_mesh(given).T
        if self.scale == "longest":
            low, high = turned.min(axis=0), turned.max(axis=0)
            return (turned - (low + high) / 2) / (high - low).max()
        if self.scale == "given":
            focal = 0.5 / math.tan(math.radians(given.fov_deg) / 2)
            return turned * self.focal_over_distance / (focal / given.distance)
        return turned

    def _world_from_mesh(self, given: Camera) -> Matrix:
        """3x3 rotation."""
        right, up, backward = given.world_from_camera[:3, :3].T
        if not self.is_tilted:
            up = np.array([0.0, 0.0, 1.0])
            backward = np.cross(right, up)
        return _basis(backward, up) @ _basis(_axis(self.front), _axis(self.up)).T


def _basis(front: Matrix, up: Matrix) -> Matrix:
    return np.stack([front, np.cross(up, front), up], axis=1)


def _axis(name: UpAxis) -> Matrix:
    axis = np.zeros(3)
    axis["XYZ".index(name[-1])] = -1.0 if name.startswith("-") else 1.0
    return axis
