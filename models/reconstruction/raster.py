"""An exact triangle rasteriser in NumPy: which face each pixel sees, and where on it.

Our own, because meshes of many sizes are rasterised on nodes without OpenGL or CUDA, and results must repeat bit for
bit; a ray caster (Open3D, trimesh with Embree) would be one more binary dependency.
"""

# Shapes: N vertex, F face, K covered (face, pixel) pair, H = W = side in pixels

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.reconstruction.views import Cameras, Floats

Integers = npt.NDArray[np.signedinteger]
CHUNK_PAIRS = 2_000_000
"""Pixels of bounding boxes tested at once, which bounds the memory."""
NEAR = 1e-3
"""Depth in world units of the near plane."""


@dataclass(frozen=True)
class Covered:
    """Pixels whose centres lie inside faces: K entries, one per face and pixel."""

    face: Integers
    column: Integers
    row: Integers
    weights: Floats
    """(K, 3) barycentric coordinates in the image plane."""


@dataclass(frozen=True)
class Raster:
    """The faces of a mesh that one camera sees."""

    face: Integers
    """(H, W) nearest face, -1 where there is none."""
    weights: Floats
    """(H, W, 3) barycentric weights on that face, correct in perspective; 0 where there is none."""
    depth: Floats
    """(H, W) along the optical axis, inf where there is none."""

    def interpolate(self, values_N: Floats, faces_F3: Integers) -> Floats:
        """Interpolate values (N, ...) of the vertices to (H, W, ...); meaningless where no face is seen."""
        return np.einsum("hwk,hwk...->hw...", self.weights, values_N[faces_F3[self.face]])


def rasterise(vertices_N3: Floats, faces_F3: Integers, cameras: Cameras, view: int) -> Raster:
    """Rasterise a mesh into one view.

    Both sides of a face are visible; faces that reach behind the near plane are left out.

    Args:
        vertices_N3: World coordinates.
        faces_F3: Indices of vertices.
        cameras: The cameras, which also say the size of the image.
        view: Number of the camera.
    """
    pixels_N2, depth_N = cameras.project(view, vertices_N3)
    in_front = np.flatnonzero((depth_N > NEAR)[faces_F3].all(axis=1))
    corners, inverse_depth = pixels_N2[faces_F3[in_front]], 1 / depth_N[faces_F3[in_front]]
    side = cameras.side
    face, nearness = np.full(side * side, -1), np.zeros(side * side)
    weights = np.zeros((side * side, 3))
    for chunk in covered_pixels(corners, side, side):
        perspective = chunk.weights * inverse_depth[chunk.face]  # 1/depth is linear in the image
        near, pixel = perspective.sum(axis=1), chunk.row * side + chunk.column
        ahead = np.flatnonzero(near > nearness[pixel])
        np.maximum.at(nearness, pixel[ahead], near[ahead])
        nearest = ahead[near[ahead] == nearness[pixel[ahead]]]  # of equals the last one is written last
        face[pixel[nearest]] = in_front[chunk.face[nearest]]
        weights[pixel[nearest]] = perspective[nearest] / near[nearest, None]
    depth = np.full(side * side, np.inf)
    np.divide(1.0, nearness, out=depth, where=nearness > 0)
    return Raster(face.reshape(side, side), weights.reshape(side, side, 3), depth.reshape(side, side))


def covered_pixels(corners_F32: Floats, width: int, height: int) -> Iterator[Covered]:
    """Find every pixel centre inside every triangle, chunk by chunk; degenerate triangles cover nothing.

    Args:
        corners_F32: Pixel coordinates of the corners, x right and y down.
        width: Of the image, in pixels.
        height: Of the image, in pixels.
    """
    size = np.array([width, height])
    a, b, c = corners_F32[:, 0], corners_F32[:, 1], corners_F32[:, 2]
    lowest, highest = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    first = np.clip(np.ceil(lowest - 0.5), 0, size).astype(np.int64)
    last = np.clip(np.floor(highest - 0.5), -1, size - 1).astype(np.int64)
    spans = np.clip(last - first + 1, 0, None)
    pairs = spans[:, 0] * spans[:, 1]
    group = np.cumsum(pairs) // CHUNK_PAIRS
    used = np.flatnonzero(pairs)
    for faces in np.split(used, np.flatnonzero(np.diff(group[used])) + 1):
        if len(faces):
            yield _inside(corners_F32, faces, first[faces], spans[faces])


def _inside(corners_F32: Floats, faces: Integers, first: Integers, spans: Integers) -> Covered:
    """Test all pixels in the bounding boxes of `faces` by their barycentric coordinates."""
    # first every row of every box, then every pixel of every row
    rows = spans[:, 1]
    of_row = np.repeat(np.arange(len(faces)), rows)
    row = first[of_row, 1] + _counts(rows)
    columns = spans[of_row, 0]
    x, y = first[of_row, 0].repeat(columns) + _counts(columns), row.repeat(columns)
    a, b, c = (corners_F32[faces, corner] for corner in range(3))
    beta_K, gamma_K = (
        _at(plane[:, of_row].repeat(columns, axis=1), x + 0.5, y + 0.5) for plane in (_ramp(a, c, b), _ramp(a, b, c))
    )
    hit = (beta_K >= 0) & (gamma_K >= 0) & (beta_K + gamma_K <= 1)
    beta_K, gamma_K = beta_K[hit], gamma_K[hit]
    weights = np.stack([1 - beta_K - gamma_K, beta_K, gamma_K], axis=1)
    return Covered(faces[of_row.repeat(columns)[hit]], x[hit], y[hit], weights)


def _counts(lengths: Integers) -> Integers:
    """0, 1, ... up to each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)


def _ramp(start: Floats, end: Floats, peak: Floats) -> Floats:
    """Coefficients (3, F) of the linear function that is 0 on the line from `start` to `end` and 1 at `peak`."""
    x, y = (end - start).T
    plane = np.stack([y, -x, x * start[:, 1] - y * start[:, 0]])
    height = _at(plane, *peak.T)
    height[height == 0] = np.nan  # a degenerate face: every comparison is false
    return plane / height


def _at(plane: Floats, x: Floats, y: Floats) -> Floats:
    return plane[0] * x + plane[1] * y + plane[2]
