"""Lays the faces of a mesh out in a texture: charts that face one of six directions, packed side by side.

Our own, because xatlas takes a minute for the 50,000 faces of marching cubes and cuts them into 1,700 charts.
"""

# Shapes: F face, N vertex, E pair of adjacent faces, C chart

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from models.reconstruction.mesh import area_vectors
from models.reconstruction.raster import covered_pixels
from models.reconstruction.views import Floats

Indices = npt.NDArray[np.int64]
AXES = np.concatenate([np.eye(3), -np.eye(3)])
SMOOTHING = 8
"""Times that normals are averaged with those of adjacent faces: the steps of marching cubes must not split charts."""
LEAST_FACING = 0.2
"""Smallest cosine between a face and the direction of its chart; a fifth of the faces' size is left at it."""
SMALL_CHART = 24
"""Charts of fewer faces are joined to what surrounds them where they face its direction."""
JOINS = 4
PADDING = 2
"""Texels around each chart that take its colours, so that filtering reaches no other chart."""
OVERLAP_PASSES = 4


@dataclass(frozen=True)
class Atlas:
    """Where each face of a mesh lies in a texture; a vertex lies in as many places as it has charts."""

    vertices: Indices
    """(M,) vertex of the mesh that each vertex of the atlas is a copy of."""
    faces: npt.NDArray[np.int32]
    """(F, 3) indices of atlas vertices, faces in the mesh's order."""
    texels: Floats
    """(M, 2) position in texels, x right and y down."""
    side: int
    """Texels along each side of the texture."""


def lay_out(vertices_N3: Floats, faces_F3: npt.NDArray[np.int32], side: int) -> Atlas:
    """Cut a mesh into charts and pack them into a square texture, as large as they fit.

    Args:
        vertices_N3: Positions.
        faces_F3: Indices of vertices.
        side: Texels along each side.
    """
    corners_F33 = vertices_N3[faces_F3].astype(np.float64)
    pairs_E2 = adjacent_faces(faces_F3)
    direction_F = _directions(corners_F33, pairs_E2)
    chart_F = _parts(pairs_E2, direction_F)
    for _ in range(OVERLAP_PASSES):
        hidden_F = _overlapped(_flat(corners_F33, direction_F), corners_F33, chart_F, direction_F)
        if not hidden_F.any():
            break
        chart_F = _parts(pairs_E2, 2 * chart_F + hidden_F)
    flat_F32 = _flat(corners_F33, direction_F)
    origin_C2, size_C2 = _boxes(flat_F32, chart_F)
    scale, corner_C2 = _pack(size_C2, side)
    shift_C2 = corner_C2 + PADDING - scale * origin_C2
    texels_F32: Floats = np.asarray(scale * flat_F32 + shift_C2[chart_F, None], dtype=np.float64)
    _, first, faces = np.unique(
        (chart_F[:, None] * len(vertices_N3) + faces_F3).ravel(), return_index=True, return_inverse=True
    )
    return Atlas(
        faces_F3.ravel()[first].astype(np.int64),
        faces.reshape(-1, 3).astype(np.int32),
        texels_F32.reshape(-1, 2)[first],
        side,
    )


def adjacent_faces(faces_F3: npt.NDArray[np.int32]) -> Indices:
    """Return the pairs of faces (E, 2) that share an edge."""
    edges = np.sort(np.concatenate([faces_F3[:, [0, 1]], faces_F3[:, [1, 2]], faces_F3[:, [2, 0]]]), axis=1)
    face = np.tile(np.arange(len(faces_F3)), 3)
    order = np.lexsort(edges.T)
    edges, face = edges[order], face[order]
    same = (edges[1:] == edges[:-1]).all(axis=1)
    return np.stack([face[:-1][same], face[1:][same]], axis=1)


def _directions(corners_F33: Floats, pairs_E2: Indices) -> Indices:
    """Choose one of `AXES` for each face: the one that it and its surroundings face, else the one that it faces."""
    area_F3 = area_vectors(corners_F33)
    normal_F3 = area_F3 / np.maximum(np.linalg.norm(area_F3, axis=1, keepdims=True), 1e-12)
    ones, count = np.ones(len(pairs_E2)), len(corners_F33)
    beside = coo_matrix((ones, (pairs_E2[:, 0], pairs_E2[:, 1])), (count, count)).tocsr()
    beside = beside + beside.T
    smooth_F3 = area_F3
    for _ in range(SMOOTHING):
        smooth_F3 = smooth_F3 + beside @ smooth_F3
    facing_FA = normal_F3 @ AXES.T
    own_F, direction_F = facing_FA.argmax(axis=1), (smooth_F3 @ AXES.T).argmax(axis=1)
    every = np.arange(count)
    direction_F = np.where(facing_FA[every, direction_F] > LEAST_FACING, direction_F, own_F)
    for _ in range(JOINS):
        chart_F = _parts(pairs_E2, direction_F)
        small_F = np.bincount(chart_F)[chart_F] < SMALL_CHART
        votes_FA = beside @ np.where(small_F[:, None], 0.0, np.eye(6)[direction_F])
        votes_FA[facing_FA <= LEAST_FACING] = 0
        joined_F = small_F & (votes_FA.max(axis=1) > 0)
        direction_F = np.where(joined_F, votes_FA.argmax(axis=1), direction_F)
    return direction_F


def _parts(pairs_E2: Indices, label_F: Indices) -> Indices:
    """Number the connected sets of faces with the same label."""
    same = label_F[pairs_E2[:, 0]] == label_F[pairs_E2[:, 1]]
    first, second = pairs_E2[same].T
    count = len(label_F)
    graph = coo_matrix((np.ones(len(first)), (first, second)), (count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _flat(corners_F33: Floats, direction_F: Indices) -> Floats:
    """Project faces along their chart's direction (F, 3, 2), seen from outside with y down, in world units."""
    axis, sign = direction_F % 3, np.where(direction_F < 3, 1.0, -1.0)
    every = np.arange(len(corners_F33))[:, None]
    right = corners_F33[every, np.arange(3), ((axis + 1) % 3)[:, None]] * sign[:, None]
    return np.stack([right, -corners_F33[every, np.arange(3), ((axis + 2) % 3)[:, None]]], axis=2)


def _boxes(flat_F32: Floats, chart_F: Indices) -> tuple[Floats, Floats]:
    """Smallest corner and size of each chart's bounding box, (C, 2) each."""
    count = int(chart_F.max()) + 1
    lowest, highest = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(lowest, chart_F, flat_F32.min(axis=1))
    np.maximum.at(highest, chart_F, flat_F32.max(axis=1))
    return lowest, highest - lowest


def _overlapped(flat_F32: Floats, corners_F33: Floats, chart_F: Indices, direction_F: Indices) -> npt.NDArray[np.bool_]:
    """Find the faces that lie below another one of the same chart (F,), as on a spiral ramp."""
    scale = 1 / np.sqrt(np.median(np.abs(np.cross(*_edges(flat_F32)))) + 1e-18)  # a face covers half a texel or so
    origin_C2, size_C2 = _boxes(flat_F32, chart_F)
    rows_C = np.ceil(size_C2[:, 1] * scale).astype(np.int64) + 1
    top_C = np.concatenate([[0], np.cumsum(rows_C)])
    texels = (flat_F32 - origin_C2[chart_F, None]) * scale
    texels[..., 1] += top_C[chart_F, None]
    width = int(np.ceil(size_C2[:, 0].max() * scale)) + 1
    every = np.arange(len(chart_F))[:, None]
    height_F3 = corners_F33[every, np.arange(3), (direction_F % 3)[:, None]]
    height_F3 = height_F3 * np.where(direction_F < 3, 1.0, -1.0)[:, None]
    hits = [
        np.stack([hit.row * width + hit.column, hit.face, (hit.weights * height_F3[hit.face]).sum(axis=1)], axis=1)
        for hit in covered_pixels(texels, width, int(top_C[-1]))
    ]
    hidden_F = np.zeros(len(chart_F), dtype=bool)
    if hits:
        texel, face, height = np.concatenate(hits).T
        order = np.lexsort((-height, texel))
        texel, face, height = texel[order], face[order].astype(np.int64), height[order]
        is_first = np.concatenate([[True], texel[1:] != texel[:-1]])
        highest = height[is_first][np.cumsum(is_first) - 1]
        hidden_F[face[highest - height > 1 / scale]] = True  # more than adjacent faces differ on their common edge
    return hidden_F


def _edges(flat_F32: Floats) -> tuple[Floats, Floats]:
    return flat_F32[:, 1] - flat_F32[:, 0], flat_F32[:, 2] - flat_F32[:, 0]


def _pack(size_C2: Floats, side: int) -> tuple[float, Floats]:
    """Find the largest scale, in texels per world unit, at which all charts fit, and their corners (C, 2)."""
    smallest, largest = 0.0, side / max(float(size_C2.max()), 1e-9)
    corners = np.zeros_like(size_C2)
    for _ in range(24):
        scale = (smallest + largest) / 2
        placed = _shelves(np.ceil(size_C2 * scale) + 2 * PADDING, side)
        if placed is None:
            largest = scale
        else:
            smallest, corners = scale, placed
    if smallest == 0:
        raise ValueError(f"{len(size_C2)} charts do not fit into a texture of {side} x {side} texels; make it larger")
    return smallest, corners


def _shelves(size_C2: Floats, side: int) -> Floats | None:
    """Place boxes, the highest first, on shelves from left to right; None when they do not fit."""
    corners = np.zeros_like(size_C2)
    left = top = shelf = 0.0
    for chart in np.argsort(-size_C2[:, 1], kind="stable"):
        width, height = size_C2[chart]
        if left + width > side:
            left, top, shelf = 0.0, top + shelf, 0.0
        shelf = max(shelf, height)
        if top + shelf > side or width > side:
            return None
        corners[chart] = left, top
        left += width
    return corners
