"""Normalises an object: centre of its bounding box to the origin, longest side to a given length (sec. 5.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from render.axes import UpAxis
from render.errors import Unrenderable

Point = tuple[float, float, float]
SMALLEST_SIDE, LARGEST_SIDE = 1e-15, 1e15
"""Blender computes in single precision; sides beyond these lose their digits or overflow when squared."""


@dataclass(frozen=True)
class Placement:
    """Transform from an object's file to the world: world = scale * (object - center).

    The object has been turned to Z up before.
    """

    center: Point
    """Centre of the bounding box, in the file's units."""
    scale: float
    """World units per unit of the file."""
    up_axis: UpAxis | None = None
    """Axis of the file that points up; None: the one that its format says."""

    @property
    def world_from_object(self) -> npt.NDArray[np.float64]:
        """Return the 4x4 transform."""
        matrix = np.diag([self.scale, self.scale, self.scale, 1.0])
        matrix[:3, 3] = -self.scale * np.asarray(self.center)
        return matrix

    def as_json(self) -> dict[str, Any]:
        """Return the fields, the up axis only where one was given; the numbers survive JSON exactly."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Placement":
        """Return the placement that `as_json` wrote; other keys of `row` are ignored."""
        x, y, z = row["center"]
        return cls(center=(float(x), float(y), float(z)), scale=float(row["scale"]), up_axis=row.get("up_axis"))


def normalize_bounds(minimum: Point, maximum: Point, longest_side: float, up_axis: UpAxis | None = None) -> Placement:
    """Return the placement that centres a bounding box and gives its longest side a length.

    Args:
        minimum: Lowest corner, in the file's units, Z up.
        maximum: Highest corner.
        longest_side: Length in world units.
        up_axis: With which the bounds were found.

    Raises Unrenderable when the box is not finite, is a single point, or is beyond single precision.
    """
    low, high = np.asarray(minimum, dtype=np.float64), np.asarray(maximum, dtype=np.float64)
    if not np.isfinite([low, high]).all():
        raise Unrenderable("vertices are not finite")
    side = float((high - low).max())
    if side <= 0:
        raise Unrenderable("all vertices lie in one point")
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise Unrenderable(
            f"the longest side is {side:.3g} units; Blender can work with {SMALLEST_SIDE:g} to {LARGEST_SIDE:g}"
        )
    x, y, z = (float(value) for value in (low + high) / 2)
    return Placement(center=(x, y, z), scale=longest_side / side, up_axis=up_axis)
