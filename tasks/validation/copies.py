"""Objects that have the shape of another one, whatever their place, size, turn, triangles and colours.

Thumbnails find the copies that lie alike in their files (tasks.validation.lookalikes); this finds the others, and needs
no views of what is compared with.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from tasks.artifacts.shapes import Shapes


@dataclass(frozen=True)
class Copy:
    """Two objects of one shape."""

    uid: str
    """Of the first objects that were compared."""
    like: str
    """Of the second."""
    distance: float
    """Of their shapes (render.shape)."""

    def __str__(self) -> str:
        """Return it as reports have it."""
        return f"{self.uid} like {self.like} ({self.distance:.4f})"


def find_copies(first: Shapes, second: Shapes, distance: float) -> list[Copy]:
    """Return all pairs of an object of `first` and one of `second` that are at most `distance` apart, nearest first."""
    if not len(first.uid) or not len(second.uid):
        return []
    scale = np.sqrt(first.shape.shape[1])
    tree = cKDTree(_points(second))
    pairs = [
        Copy(str(first.uid[row]), str(second.uid[near]), float(np.linalg.norm(point - tree.data[near]) / scale))
        for row, point in enumerate(_points(first))
        for near in tree.query_ball_point(point, distance * scale)
    ]
    return sorted(pairs, key=lambda pair: (pair.distance, pair.uid, pair.like))


def _points(shapes: Shapes) -> npt.NDArray[np.float64]:
    return shapes.shape.astype(np.float64)
