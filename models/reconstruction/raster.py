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
        near = perspective.sum(axis=1)
        order = np.argsort(near, kind="stable")  # the nearest is written last
        pixel = (chunk.row * side + chunk.column)[order]
        order = order[near[order] > nearness[pixel]]
        pixel = (chunk.row * side + chunk.column)[order]
        face[pixel], nearness[pixel] = in_front[chunk.face[order]], near[order]
        weights[pixel] = perspective[order] / near[order, None]
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
    pairs = spans[:, 0] * spans[:, 1]
    owner = np.repeat(np.arange(len(faces)), pairs)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    down, right = np.divmod(within, spans[owner, 0])
    column, row = first[owner, 0] + right, first[owner, 1] + down
    a, b, c = (corners_F32[faces, corner] for corner in range(3))
    beta, gamma = _ramp(a, c, b), _ramp(a, b, c)
    pixel = np.stack([column, row], axis=1) + 0.5
    beta_K, gamma_K = _at(beta[owner], pixel), _at(gamma[owner], pixel)
    hit = (beta_K >= 0) & (gamma_K >= 0) & (beta_K + gamma_K <= 1)
    beta_K, gamma_K = beta_K[hit], gamma_K[hit]
    weights = np.stack([1 - beta_K - gamma_K, beta_K, gamma_K], axis=1)
    return Covered(faces[owner[hit]], column[hit], row[hit], weights)


def _ramp(start: Floats, end: Floats, peak: Floats) -> Floats:
    """Coefficients (F, 3) of the linear function that is 0 on the line from `start` to `end` and 1 at `peak`."""
    x, y = (end - start).T
    plane = np.stack([y, -x, x * start[:, 1] - y * start[:, 0]], axis=1)
    height = _at(plane, peak)
    height[height == 0] = np.nan  # a degenerate face: every comparison is false
    return plane / height[:, None]


def _at(plane: Floats, point: Floats) -> Floats:
    return plane[:, 0] * point[:, 0] + plane[:, 1] * point[:, 1] + plane[:, 2]
