"""Finds the frame that others' views were rendered in, by laying an object's own surface over their masks."""

# Shapes: N vertex, F face, S point on the surface

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from render.cameras import Camera, Matrix, look_at_origin
from render.images import COVERED, Rgba
from render.resample import resample
from render.shape import Part, surface_points
from tasks.given_views.archive import GivenView

SIDE = 256
"""Pixels along each side of the masks that are compared, at most."""
MAX_OFFSET = 0.02
"""Of the image, beside a pixel: by how much the box around the projected surface may differ from that of a mask."""
MIN_INSIDE = 0.95
"""Share of the projected surface that lies on a mask or beside it; textures with holes cost some."""
MAX_TURN_DEG = 0.5
"""By how much a camera may be turned from one that stands upright and looks at the centre."""
AXES: dict[str, Matrix] = {"OpenGL": np.eye(4), "OpenCV": np.diag([1.0, -1.0, -1.0, 1.0])}
"""Camera axes: what turns them into those of render/cameras.py."""
UP: dict[str, Matrix] = {"Z": np.eye(3), "Y": np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])}
"""World axes: what turns them to Z up."""
SIZES = (1.0, 2.0)
"""Lengths of the longest side of an object in others' worlds; 1 here."""


@dataclass(frozen=True)
class GivenFrame:
    """Axes and size of the world that views were rendered in."""

    axes: str
    up: str
    longest_side: float

    def world_from_camera(self, view: GivenView) -> Matrix:
        """Return the 4x4 pose of a view's camera in the world of this project."""
        pose = np.eye(4)
        pose[:3, :3] = UP[self.up] @ (view.pose @ AXES[self.axes])[:3, :3]
        pose[:3, 3] = UP[self.up] @ view.pose[:3, 3] / self.longest_side
        return pose

    def camera(self, view: GivenView, name: str) -> Camera | None:
        """Return a view's camera; None where it does not stand upright, look at the centre and have square pixels."""
        pose = self.world_from_camera(view)
        x, y, z = pose[:3, 3]
        distance = float(np.linalg.norm(pose[:3, 3]))
        if not 0 < distance < math.inf or abs(z) >= 0.9999 * distance:
            return None
        azimuth_deg, elevation_deg = math.degrees(math.atan2(y, x)) % 360, math.degrees(math.asin(z / distance))
        upright = look_at_origin(azimuth_deg, elevation_deg, distance)
        turn = (np.trace(upright[:3, :3].T @ pose[:3, :3]) - 1) / 2
        focal, is_central = _focal(view.intrinsics)
        if turn < math.cos(math.radians(MAX_TURN_DEG)) or not is_central:
            return None
        return Camera(name, azimuth_deg, elevation_deg, distance, math.degrees(2 * math.atan(0.5 / focal)))


def find_frame(views: Sequence[tuple[GivenView, Rgba]], part: Part) -> GivenFrame | None:
    """Return the frame in which an object's surface lies on the masks of all views.

    None where there is none, or where two that differ in what points up fit alike, as they do for a ball.

    Args:
        views: Some views with their pictures.
        part: The object as it is rendered here: Z up, longest side 1, centred.
    """
    points_S3 = surface_points([part], 4096)
    if points_S3 is None or not views:
        return None
    masks = [resample(rgba, min(SIDE, len(rgba)))[..., 3] > COVERED for _, rgba in views]
    frames = [GivenFrame(*values) for values in product(AXES, UP, SIZES)]
    fits = {
        frame: [_fit(frame, view, mask, points_S3) for (view, _), mask in zip(views, masks, strict=True)]
        for frame in frames
    }
    good = [frame for frame in frames if all(fit <= MAX_OFFSET for fit in fits[frame])]
    return min(good, key=lambda frame: max(fits[frame])) if len({frame.up for frame in good}) == 1 else None


def _fit(frame: GivenFrame, view: GivenView, mask: npt.NDArray[np.bool_], points_S3: Matrix) -> float:
    """Return by how much of the image two boxes differ; infinite where the surface does not lie on the mask."""
    pose = frame.world_from_camera(view)
    in_camera = (points_S3 - pose[:3, 3]) @ pose[:3, :3]
    depth = -in_camera[:, 2]
    side = len(mask)
    focal, is_central = _focal(view.intrinsics)
    if not is_central or (depth <= 0).any() or not mask.any():
        return math.inf
    pixels = side * (focal * in_camera[:, :2] / depth[:, None] * [1.0, -1.0] + 0.5)
    columns, rows = np.floor(pixels).astype(np.int64).T
    is_seen = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    if not is_seen.any() or binary_dilation(mask)[rows[is_seen], columns[is_seen]].mean() < MIN_INSIDE:
        return math.inf
    box = np.argwhere(mask)[:, ::-1]
    edges = [pixels.clip(0, side).min(axis=0) - box.min(axis=0), pixels.clip(0, side).max(axis=0) - box.max(axis=0) - 1]
    return max(0.0, float(np.abs(edges).max()) - 1) / side


def _focal(intrinsics: Matrix) -> tuple[float, bool]:
    """Return the focal length in image sides, and whether pixels are square and the axis meets the image's middle.

    Numbers beyond 16 are pixels of the picture, whose middle is then half of its side; others are shares of the side.
    """
    scale = 2 * intrinsics[0, 2] if intrinsics[0, 0] > 16 else 1.0
    shares = intrinsics / scale if scale > 0 else intrinsics
    is_central = bool(
        np.allclose(shares[:2, 2], 0.5, atol=0.005) and np.isclose(shares[0, 0], shares[1, 1], rtol=0.005)
    )
    return float(shares[0, 0]), is_central
