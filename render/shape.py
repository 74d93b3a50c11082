"""Describes the shape of a surface by numbers that neither its place, size and turn nor its triangles change.

Two files that show one object, exported by another program, scaled, turned or with fewer triangles, have nearly equal
descriptions. Colours do not count, and an object and its mirror image have one shape.

The numbers say how three quantities are distributed over the surface, weighted by area: the distance of a point from
the centroid and of two points from each other (D1 and D2 of Osada et al., Shape Distributions, 2002), and the distance
of the tangent plane from the centroid. Of each they are the means of the smallest sixteenth of the values, of the next
one, and so on, so that the difference of two is the Wasserstein distance of the distributions; quantiles would jump
where a quantity has few values, as planes of a box have. The two larger eigenvalues of the covariance follow. Lengths
are in units of the surface's root mean square distance from its centroid.
"""

# Shapes: N vertex, F face, S sample, D number of a description

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Shape = npt.NDArray[np.float32]
"""(D,) description. Two are as far apart as the root mean square of their differences (`shape_distance`)."""
Part = tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]
"""Vertices (N, 3) and triangles (F, 3) of a mesh."""
SAMPLES = 16_384
"""Points on the surface. Sampled twice, a surface is .003 from itself in the median."""
PAIRINGS = 4
"""Pairs for the distance of two points, per point."""
LEVELS = 16
"""Means that are kept of each quantity."""
LENGTH = 3 * LEVELS + 2
"""D."""
_BLOCK = 1 << 18
"""Faces whose areas are computed at once; a mesh has millions."""


def describe_shape(parts: Iterable[Part]) -> Shape | None:
    """Describe the surface of some meshes together.

    Args:
        parts: The meshes, all in one frame.

    Returns (D,), or None for a surface without area or with a vertex that is not finite.
    """
    rng = np.random.default_rng(0)
    corners_S33 = _drawn_triangles(parts, SAMPLES, rng)
    if corners_S33 is None:
        return None
    points_S3 = _points_in(corners_S33, rng)
    points_S3 -= points_S3.mean(axis=0)
    size = np.sqrt((points_S3**2).sum(axis=1).mean())
    if not 0 < size < np.inf:
        return None
    return _distributions(points_S3 / size, _normals(corners_S33), rng)


def surface_points(parts: Iterable[Part], count: int) -> npt.NDArray[np.float64] | None:
    """Return points (S, 3) spread over the surface of some meshes; None for one without area or not finite."""
    rng = np.random.default_rng(0)
    corners_S33 = _drawn_triangles(parts, count, rng)
    return None if corners_S33 is None else _points_in(corners_S33, rng)


def shape_distance(one: Shape, other: Shape) -> float:
    """Return how far two shapes are apart: 0 for equal ones, .04 for what two unlike objects have at least, mostly."""
    return float(np.sqrt(np.mean((one.astype(np.float64) - other) ** 2)))


def _distributions(
    points_S3: npt.NDArray[np.float64], normals_S3: npt.NDArray[np.float64], rng: np.random.Generator
) -> Shape:
    """Describe points of a surface, whose centroid is the origin, with its unit normals there."""
    pairs = [np.linalg.norm(points_S3 - points_S3[rng.permutation(SAMPLES)], axis=1) for _ in range(PAIRINGS)]
    from_centroid_S = np.linalg.norm(points_S3, axis=1)
    of_planes_S = np.abs((points_S3 * normals_S3).sum(axis=1))
    spread = np.linalg.eigvalsh(points_S3.T @ points_S3 / SAMPLES)
    quantities = (from_centroid_S, np.concatenate(pairs), of_planes_S)
    means = [np.sort(values).reshape(LEVELS, -1).mean(axis=1) for values in quantities]
    return np.concatenate([*means, spread[1:]]).astype(np.float32)


def _drawn_triangles(parts: Iterable[Part], count: int, rng: np.random.Generator) -> npt.NDArray[np.float64] | None:
    """Return the corners (S, 3, 3) of triangles drawn by area; None where there is none, or a vertex is not finite."""
    meshes = [part for part in parts if len(part[1])]
    areas_F = np.concatenate([np.zeros(0), *(_areas(*part) for part in meshes)])
    total = areas_F.sum()
    if not 0 < total < np.inf:
        return None
    wanted_S = (np.arange(count) + rng.random(count)) / count * total
    return _corners(meshes, np.minimum(np.searchsorted(np.cumsum(areas_F), wanted_S), len(areas_F) - 1))


def _areas(vertices_N3: npt.NDArray[np.float64], faces_F3: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    blocks = (vertices_N3[faces_F3[start : start + _BLOCK]] for start in range(0, len(faces_F3), _BLOCK))
    return np.concatenate([np.linalg.norm(_crossed(corners_F33), axis=1) / 2 for corners_F33 in blocks])


def _corners(meshes: Sequence[Part], chosen_S: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the corners (S, 3, 3) of faces, which are counted through all meshes; `chosen_S` ascends."""

    def each() -> Iterator[npt.NDArray[np.float64]]:
        start = 0
        for vertices, faces in meshes:
            first, last = np.searchsorted(chosen_S, [start, start + len(faces)])
            yield vertices[faces[chosen_S[first:last] - start]]
            start += len(faces)

    return np.concatenate(list(each()))


def _points_in(corners_S33: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a point (S, 3) in each triangle, drawn uniformly over its area."""
    root_S, other_S = np.sqrt(rng.random(len(corners_S33))), rng.random(len(corners_S33))
    weights_S3 = np.stack([1 - root_S, root_S * (1 - other_S), root_S * other_S], axis=1)
    points_S3: npt.NDArray[np.float64] = np.einsum("sk,skx->sx", weights_S3, corners_S33)
    return points_S3


def _normals(corners_S33: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    crossed_S3 = _crossed(corners_S33)
    lengths_S1 = np.linalg.norm(crossed_S3, axis=1, keepdims=True)
    return crossed_S3 / np.maximum(lengths_S1, np.finfo(np.float64).tiny)


def _crossed(corners_F33: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return normals (F, 3) of triangles, as long as twice their area."""
    crossed_F3: npt.NDArray[np.float64] = np.cross(
        corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0]
    )
    return crossed_F3
