"""Triangles with texture coordinates, and how to move, join and shade them. Knows nothing of colours.

World: Z up, the front of an object looks along -Y, lengths in units of about one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CREASE_DEG = 40.0
"""Faces that meet at more than this show an edge; below it the surface looks round."""


@dataclass(frozen=True)
class Shape:
    """A closed surface; `v` of the texture points up and `u` to the right when seen from outside."""

    vertices: Floats
    """(V, 3)"""
    faces: Ints
    """(F, 3), counter-clockwise from outside."""
    uv: Floats
    """(V, 2), in [0, 1], origin at the lower left of the image."""

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Shape:
        """Return the shape moved by (x, y, z)."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Shape:
        """Return the shape stretched about the origin; factors are positive."""
        return replace(self, vertices=self.vertices * np.array([x, y, z]))

    def turned(self, axis: Literal["x", "y", "z"], angle_deg: float) -> Shape:
        """Return the shape turned about an axis through the origin, counter-clockwise as the axis points at the eye."""
        first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
        cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        vertices = self.vertices.copy()
        vertices[:, first] = cos * self.vertices[:, first] - sin * self.vertices[:, second]
        vertices[:, second] = sin * self.vertices[:, first] + cos * self.vertices[:, second]
        return replace(self, vertices=vertices)

    def tapered(self, x: float, y: float, shift_y: float = 0.0) -> Shape:
        """Return the shape with its top scaled by `x` and `y` and moved by `shift_y`, linearly in height."""
        low, high = self.vertices[:, 2].min(), self.vertices[:, 2].max()
        share = (self.vertices[:, 2] - low) / (high - low)
        vertices = self.vertices.copy()
        vertices[:, 0] *= 1 + (x - 1) * share
        vertices[:, 1] = vertices[:, 1] * (1 + (y - 1) * share) + shift_y * share
        return replace(self, vertices=vertices)


def joined(shapes: Sequence[Shape]) -> Shape:
    """Return one shape out of several."""
    offsets = np.cumsum([0, *(len(shape.vertices) for shape in shapes[:-1])])
    return Shape(
        np.concatenate([shape.vertices for shape in shapes]),
        np.concatenate([shape.faces + offset for shape, offset in zip(shapes, offsets, strict=True)]),
        np.concatenate([shape.uv for shape in shapes]),
    )


def around(shape: Shape, count: int, start_deg: float = 0.0) -> Shape:
    """Return `count` copies of `shape`, turned evenly about the Z axis."""
    return joined([shape.turned("z", start_deg + 360 * index / count) for index in range(count)])


def sheet(points: ArrayLike, uv: ArrayLike) -> Shape:
    """Return a grid of quads from points (R, C, 3) and uv (R, C, 2), seen from where columns run right and rows up.

    Triangles that fell together, such as at a pole, are left out.
    """
    grid = np.asarray(points, dtype=np.float64)
    rows, columns = grid.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    vertices = grid.reshape(-1, 3)
    kept = np.linalg.norm(_area_normals(vertices, faces), axis=1) > 1e-9
    return Shape(vertices, faces[kept], np.asarray(uv, dtype=np.float64).reshape(-1, 2))


def areas(shape: Shape) -> Floats:
    """Return the area of each face (F,)."""
    return np.linalg.norm(_area_normals(shape.vertices, shape.faces), axis=1) / 2


def shaded(shape: Shape) -> tuple[Shape, Floats]:
    """Return the same surface with a vertex for each normal, and these unit normals (V, 3); creases stay sharp."""
    normals = _corner_normals(shape)
    vertex = shape.faces.reshape(-1, 1)
    keys = np.concatenate([vertex, np.round(normals * 500).astype(np.int64)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    source = vertex[first, 0]
    return Shape(shape.vertices[source], inverse.reshape(-1, 3), shape.uv[source]), normals[first]


def _area_normals(vertices: Floats, faces: Ints) -> Floats:
    """Normal of each face, as long as twice its area (F, 3)."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)


def _corner_normals(shape: Shape) -> Floats:
    """Unit normal of each corner of each face (3F, 3): the mean over the faces around it within the crease angle."""
    weighted = _area_normals(shape.vertices, shape.faces)
    unit = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
    places = np.unique(np.round(shape.vertices * 1e5).astype(np.int64), axis=0, return_inverse=True)[1].reshape(-1)
    corner_place = places[shape.faces.reshape(-1)]
    order = np.argsort(corner_place, kind="stable")
    _, start, count = np.unique(corner_place[order], return_index=True, return_counts=True)
    partners = np.repeat(count, count)
    offsets = np.concatenate([[0], np.cumsum(partners)[:-1]])
    within = np.arange(partners.sum()) - np.repeat(offsets, partners)
    left = np.repeat(order, partners) // 3
    right = order[np.repeat(np.repeat(start, count), partners) + within] // 3
    is_smooth = np.einsum("ij,ij->i", unit[left], unit[right]) > np.cos(np.radians(CREASE_DEG))
    normals = np.empty((len(order), 3))
    normals[order] = np.add.reduceat(weighted[right] * is_smooth[:, None], offsets, axis=0)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)
