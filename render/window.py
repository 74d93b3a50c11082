"""The part of an image that an object can cover; the rest need not be rendered."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError

from render.cameras import Camera, project

Points = npt.NDArray[np.float64]

MARGIN_PX = 2
"""Left around the object, for the pixel filter reaches 1 pixel out; more makes the denoiser no better."""
NEAREST = 1e-3
"""Depth in world units up to which a point counts as beside or behind the camera: nowhere in the image."""


@dataclass(frozen=True)
class PixelWindow:
    """A rectangle of an image: columns left..right and rows top..bottom in pixels, ends excluded, y down."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        """Index of the rows of an array (H, W, ...)."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Index of the columns of an array (H, W, ...)."""
        return slice(self.left, self.right)


def convex_hull(points: Points) -> Points:
    """Return the corners (M, 3) of the convex hull of points (N, 3); points in one plane come back as they are."""
    try:
        return points[ConvexHull(points).vertices]
    except (QhullError, ValueError):  # all in one plane, or none at all
        return points


def pixel_window(camera: Camera, points: Points, side: int) -> PixelWindow | None:
    """Return the part of an image of `side` pixels that the convex hull of world points (N, 3) can cover.

    None where it is out of view; the whole image where a point lies beside or behind the camera.
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
