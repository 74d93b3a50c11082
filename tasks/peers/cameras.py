"""Cameras of other people's views: pinhole or orthographic, in any pose.

render/cameras.py has only upright pinholes that look at the origin, which is all that this project renders.
"""

# Shapes: N point, H = W = side in pixels

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from render.cameras import Camera, Matrix, look_at_origin

PLACE_TOLERANCE = 2e-3
"""Two cameras stand at one place when they are nearer than this share of their distance from the origin."""
TURN_TOLERANCE_DEG = 0.1
"""They look the same way when a turn below this takes one to the other: a quarter of a pixel of 256 at 49 degrees."""
FAR = 10.0
"""Distance of an orthographic camera, whose images do not depend on it."""


@dataclass(frozen=True, eq=False)
class PeerCamera:
    """A camera with square images in OpenGL axes: it looks down its -Z with +Y up."""

    world_from_camera: Matrix
    """4x4 pose in the frame of the test set: Z up, longest side of the object 1."""
    fov_deg: float | None = None
    """Full field of view; None: orthographic."""
    width: float | None = None
    """World units that an orthographic image spans; None: pinhole."""

    @property
    def position(self) -> Matrix:
        """(3,) in the world."""
        return self.world_from_camera[:3, 3]

    def project(self, points_N3: Matrix, side: int) -> tuple[Matrix, Matrix]:
        """Project world points into an image of `side` pixels.

        Returns pixel coordinates (N, 2), x right and y down, centres at half integers, and depths (N,) along the axis.
        """
        in_camera = (points_N3 - self.position) @ self.world_from_camera[:3, :3]
        depth = -in_camera[:, 2]
        if self.fov_deg is None:
            assert self.width is not None, "a camera is pinhole or orthographic"
            scale = np.full(len(depth), side / self.width)
        else:
            scale = 0.5 * side / math.tan(math.radians(self.fov_deg) / 2) / depth
        return in_camera[:, :2] * scale[:, None] * [1.0, -1.0] + side / 2, depth

    def enlarged(self, factor: float) -> "PeerCamera":
        """Return the camera that shows everything `factor` times as large: a narrower image, or a nearer place."""
        if self.width is not None:
            return replace(self, width=self.width / factor)
        pose = self.world_from_camera.copy()
        pose[:3, 3] /= factor
        return replace(self, world_from_camera=pose)

    def stands_as(self, camera: Camera) -> bool:
        """Whether this pinhole camera has the pose of `camera`; their fields of view may differ."""
        pose = camera.world_from_camera
        turn = (np.trace(self.world_from_camera[:3, :3].T @ pose[:3, :3]) - 1) / 2
        is_near = np.linalg.norm(self.position - pose[:3, 3]) < PLACE_TOLERANCE * camera.distance
        return self.fov_deg is not None and bool(is_near) and turn > math.cos(math.radians(TURN_TOLERANCE_DEG))


def pinhole(camera: Camera) -> PeerCamera:
    """Return a camera of a test set as one of a peer."""
    return PeerCamera(camera.world_from_camera, fov_deg=camera.fov_deg)


def upright_ring(
    given: Camera, turns_deg: Sequence[float], elevations_deg: Sequence[float], *, distance: float, fov_deg: float
) -> list[PeerCamera]:
    """Return pinhole cameras around the object; azimuths count from the given view, elevations from the horizon.

    A positive turn moves the camera to its own right, as azimuths do.
    """
    angles = zip(turns_deg, elevations_deg, strict=True)
    return [
        PeerCamera(look_at_origin(given.azimuth_deg + turn, elevation, distance), fov_deg=fov_deg)
        for turn, elevation in angles
    ]


def upright_orthographic(given: Camera, turns_deg: Sequence[float], width: float) -> list[PeerCamera]:
    """Return orthographic cameras on the horizon whose azimuths count from the given view."""
    return [PeerCamera(look_at_origin(given.azimuth_deg + turn, 0.0, FAR), width=width) for turn in turns_deg]


def tilted_orthographic(given: Camera, turns_deg: Sequence[float], width: float) -> list[PeerCamera]:
    """Return orthographic cameras that turn about the up axis of the given view's camera, not of the world."""
    pose = look_at_origin(given.azimuth_deg, given.elevation_deg, FAR)
    return [PeerCamera(_turned(pose, turn), width=width) for turn in turns_deg]


def _turned(pose: Matrix, turn_deg: float) -> Matrix:
    """Turn a pose that looks at the origin about its own up axis through the origin, to its right."""
    angle = math.radians(turn_deg)
    right, up, backward = pose[:3, :3].T
    moved = np.eye(4)
    new_backward = math.cos(angle) * backward + math.sin(angle) * right
    moved[:3, :3] = np.stack([np.cross(up, new_backward), up, new_backward], axis=1)
    moved[:3, 3] = new_backward * np.linalg.norm(pose[:3, 3])
    return moved


def matches(cameras: Sequence[PeerCamera], truth: Sequence[Camera]) -> Iterator[tuple[int, Camera]]:
    """Yield the number of each camera that stands as a true one, and that one; each true camera once."""
    free = list(truth)
    for number, camera in enumerate(cameras):
        twin = next((one for one in free if camera.stands_as(one)), None)
        if twin is not None:
            free.remove(twin)
            yield number, twin
