"""Objects that look like another one: uploads of the same model, which teach nothing new and leak into validation.

Thumbnails of the same views are compared, so a copy that is turned, moved or painted otherwise is not found.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

MAX_DIMENSIONS = 24
"""Principal components that candidates are searched in; a tree of more is no faster than comparing all pairs."""
SAMPLE = 4096
"""Objects that the components are computed from."""


@dataclass(frozen=True)
class LookAlikes:
    """The nearest look-alike of each of some objects."""

    index: npt.NDArray[np.int64]
    """Objects (M) that look like another, by their place among all."""
    nearest: npt.NDArray[np.int64]
    """The one (M) that each looks most like."""
    distance: npt.NDArray[np.float64]
    """How far (M) they are apart, as `find_lookalikes` defines it."""


def find_lookalikes(
    thumbnails: npt.NDArray[np.uint8],
    distance: float,
    among: npt.NDArray[np.bool_] | None = None,
    compared: npt.NDArray[np.bool_] | None = None,
) -> LookAlikes:
    """Find the objects that have another one within `distance`.

    The distance of two objects is the length of the difference of their thumbnails over that of the longer one, so
    that thin objects, most of whose image is empty, are not taken for each other. Candidates are searched among
    projections on principal components, which bring no two objects further apart, so that none is missed; then whole
    thumbnails are compared.

    Args:
        thumbnails: uint8 (N, D), as `Appearance` has them.
        distance: Largest distance, above 0 and below 1.
        among: Of which objects (N) look-alikes are wanted; None: of all.
        compared: Which objects (N) they are compared with; None: all.

    Returns one row for each object of `among` that has a look-alike, sorted by its place.
    """
    wanted = np.flatnonzero(np.ones(len(thumbnails), bool) if among is None else among)
    others = np.flatnonzero(np.ones(len(thumbnails), bool) if compared is None else compared)
    if not len(wanted) or not len(others):
        return LookAlikes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    axes, mean = _components(thumbnails)
    lengths = _lengths(thumbnails)
    # the longer of two is at most the one over 1 - distance; rounding of the projection is far below a thousandth
    radii = lengths * distance / (1 - distance) * 1.001 + 1e-3
    tree = cKDTree(_projected(thumbnails[others], axes, mean))
    rows: list[tuple[int, int, float]] = []
    for index, point in zip(wanted, _projected(thumbnails[wanted], axes, mean), strict=True):
        near = others[tree.query_ball_point(point, radii[index])]
        near = near[near != index]
        longer = np.maximum(lengths[near], lengths[index])
        apart = _lengths(thumbnails[near].astype(np.int16) - thumbnails[index]) / np.maximum(longer, 1e-9)
        if len(near) and apart.min() <= distance:
            rows.append((int(index), int(near[apart.argmin()]), float(apart.min())))
    index_M, nearest_M, distance_M = zip(*rows, strict=True) if rows else ((), (), ())
    return LookAlikes(np.array(index_M, np.int64), np.array(nearest_M, np.int64), np.array(distance_M, np.float64))


def _components(thumbnails: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return orthonormal directions (D, K) of largest variance, and the mean (D), of evenly chosen objects."""
    chosen = thumbnails[np.linspace(0, len(thumbnails) - 1, min(SAMPLE, len(thumbnails)), dtype=np.int64)]
    sample = chosen.astype(np.float32) / 255
    mean = sample.mean(axis=0)
    _, _, directions = np.linalg.svd(sample - mean, full_matrices=False)
    return directions[:MAX_DIMENSIONS].T, mean


def _projected(
    thumbnails: npt.NDArray[np.uint8], axes: npt.NDArray[np.float32], mean: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    blocks = [
        (thumbnails[start : start + SAMPLE].astype(np.float32) / 255 - mean) @ axes
        for start in range(0, len(thumbnails), SAMPLE)
    ]
    return np.concatenate(blocks)


def _lengths(thumbnails: npt.NDArray[np.uint8] | npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Return the Euclidean length of each row, where a value of 255 counts as 1."""
    rows = [
        np.sqrt((thumbnails[start : start + SAMPLE].astype(np.float32) ** 2).sum(axis=1, dtype=np.float64))
        for start in range(0, len(thumbnails), SAMPLE)
    ]
    return np.concatenate([np.zeros(0), *rows]) / 255
