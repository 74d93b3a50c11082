"""Which part of a picture an object can cover; the rest need not be rendered."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from render.cameras import Camera, project

Points = npt.NDArray[np.float64]

MARGIN_PX = 2
"""Left around the object, for the pixel filter reaches 1 pixel out; more makes the denoiser no better."""
NEAREST = 1e-3
"""Depth in world units up to which a point counts as beside or behind the camera: nowhere in the picture."""


@dataclass(frozen=True)
class PixelWindow:
    """Columns left..right and rows top..bottom of a picture, ends excluded, in pixels, y down."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        """Of an array (H, W, ...)."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Of an array (H, W, ...)."""
        return slice(self.left, self.right)


def convex_hull(points: Points) -> Points:
    """The corners of the convex hull of points (N, 3): enough of them for `window`. Flat sets come back as they are."""
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # all in one plane, or none at all
        return points


def window(camera: Camera, points: Points, side: int) -> PixelWindow | None:
    """The part of a picture of `side` pixels that an object with the given points (N, 3) can cover; None: no part.

    The whole picture where a point lies beside or behind the camera.
    """
    if not len(points):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels, depths = project(camera, points, side)
    if depths.min() <= NEAREST:
        return PixelWindow(0, 0, side, side)
    left, top = np.clip(np.floor(pixels.min(axis=0)).astype(int) - MARGIN_PX, 0, side)
    right, bottom = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + MARGIN_PX, 0, side)
    if left >= right or top >= bottom:
        return None
    return PixelWindow(int(left), int(top), int(right), int(bottom))
