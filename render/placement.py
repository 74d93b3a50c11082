"""Normalises an object: centre of its bounding box to the origin, longest side to a given length (sec. 5.1)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from render.errors import Unrenderable

Point = tuple[float, float, float]
SMALLEST_SIDE, LARGEST_SIDE = 1e-15, 1e15
"""Blender computes in single precision; sides beyond these lose their digits or overflow when squared."""


@dataclass(frozen=True)
class Placement:
    """Transform from an object's file to the world: world = scale * (object - center).

    The importer has turned the object's own axes to Z up before.
    """

    center: Point
    """Centre of the bounding box, in the file's units."""
    scale: float
    """World units per unit of the file."""

    @property
    def world_from_object(self) -> npt.NDArray[np.float64]:
        """Return the 4x4 transform."""
        matrix = np.diag([self.scale, self.scale, self.scale, 1.0])
        matrix[:3, 3] = -self.scale * np.asarray(self.center)
        return matrix

    def as_json(self) -> dict[str, Any]:
        """Return both fields; the numbers survive JSON exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Placement":
        """Return the placement that `as_json` wrote; other keys of `row` are ignored."""
        x, y, z = row["center"]
        return cls(center=(float(x), float(y), float(z)), scale=float(row["scale"]))


def normalize_bounds(minimum: Point, maximum: Point, longest_side: float) -> Placement:
    """Return the placement that centres a bounding box and gives its longest side a length.

    Args:
        minimum: Lowest corner, in the file's units.
        maximum: Highest corner.
        longest_side: Length in world units.

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
    return Placement(center=(x, y, z), scale=longest_side / side)
