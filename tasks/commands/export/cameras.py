"""A camera in the conventions of other tools. Ours is `world_from_camera` in OpenGL axes (docs/conventions.md)."""

from collections.abc import Iterable

import numpy as np

from render.cameras import Camera, Matrix
from tasks.commands.export.source import Source

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""OpenCV's camera looks down +Z with +Y down, ours down -Z with +Y up."""


def opengl_extrinsics(camera: Camera) -> Matrix:
    """Return the 4x4 matrix that brings a world point into a camera of OpenGL's, Blender's axes."""
    return np.linalg.inv(camera.world_from_camera)


def opencv_extrinsics(camera: Camera) -> Matrix:
    """Return the 4x4 matrix that brings a world point into a camera of OpenCV's, COLMAP's axes."""
    return OPENCV_FROM_OPENGL @ opengl_extrinsics(camera)


def opencv_intrinsics(camera: Camera, side: int) -> Matrix:
    """Return the 3x3 matrix from OpenCV's camera to pixels of an image of `side`; pixel centres at half integers."""
    return camera.pixel_from_camera(side) @ OPENCV_FROM_OPENGL[:3, :3]


def one_fov_deg(uid: str, cameras: Iterable[Camera]) -> float:
    """Return the field of view that all cameras have.

    Raises ValueError when they differ.
    """
    angles = sorted({round(camera.fov_deg, 3) for camera in cameras})
    if len(angles) != 1:
        raise ValueError(
            f"{uid} has views of {angles[0]:g} and of {angles[-1]:g} deg, and the layout holds one field of view; "
            "choose a kind of view with --kind, or another layout"
        )
    return angles[0]


def shared_cameras(source: Source) -> tuple[int, float]:
    """Return the number of views and the field of view in degrees that all objects share.

    Raises ValueError when they differ, for layouts that state both once for the whole data set.
    """
    first = source.uids[0]
    shared = len(source.cameras(first)), one_fov_deg(first, source.cameras(first))
    for uid in source.uids[1:]:
        cameras = source.cameras(uid)
        own = len(cameras), one_fov_deg(uid, cameras)
        if own != shared:
            raise ValueError(
                f"{uid} has {own[0]} views of {own[1]:g} deg and {first} {shared[0]} of {shared[1]:g}, and the layout "
                "holds one number and one field of view; choose a kind of view with --kind, or objects with --uid"
            )
    return shared
