"""Which way the faces of a mesh look: whether it is closed, and whether it encloses a volume or lines one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int32]

SHEET = 0.6
"""A mesh is a sheet, not a shell, where more than this share of its area is left when opposite faces cancel out."""
HOLLOW = 1e-4
"""Least volume of a shell, in units of its area to the power of 1.5; that of a ball is 0.094."""
DOUBLED = 0.1
"""A mesh counts as doubled where a larger share of its faces lies on another face of the same corners."""


@dataclass(frozen=True)
class Orientation:
    """Which way the faces of a mesh look, by their winding: counter-clockwise from the front."""

    is_closed: bool
    """Whether every edge belongs to as many faces in one direction as in the other; then no back face is in view."""
    volume: float
    """Signed volume, taken from the mean of the corners: positive where faces look outwards. In cubed units."""
    area: float
    doubled: float
    """Share of the faces that lie on another face of the same corners, as exporters write two sides."""
    openness: float
    """Length of the summed area vectors over the summed areas: 0 for a closed mesh, 1 for a plane."""

    @property
    def looks_outwards(self) -> bool:
        """Whether the mesh is a closed solid."""
        return self.is_closed and self.volume > 0

    @property
    def looks_inwards(self) -> bool:
        """Whether the mesh lines a space, as a sky dome, a room or an inverted hull does."""
        return self.volume < -HOLLOW * self.area**1.5 and self.openness < SHEET

    @property
    def is_doubled(self) -> bool:
        """Whether its faces come in pairs that lie on each other and look opposite ways."""
        return self.doubled > DOUBLED


def orientation_of(vertices: Points, faces: Faces) -> Orientation:
    """Return how a mesh of vertices (N, 3) and faces (M, 3) is oriented; corners at one place count as one."""
    corners = vertices[faces]
    corners = corners - corners.mean(axis=(0, 1))
    crosses = area_vectors(corners)
    twice_area = np.linalg.norm(crosses, axis=1).sum()
    welded = weld(vertices)[faces]
    return Orientation(
        is_closed=is_closed(welded),
        volume=float(np.einsum("mi,mi->", corners[:, 0], crosses) / 6),
        area=float(twice_area / 2),
        doubled=doubled(welded),
        openness=float(np.linalg.norm(crosses.sum(axis=0)) / twice_area) if twice_area > 0 else 1.0,
    )


def area_vectors(corners: Points) -> Points:
    """Return a vector (M, 3) for each triangle of `corners` (M, 3, 3): along its normal, as long as twice its area."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def weld(vertices: Points) -> npt.NDArray[np.int64]:
    """Return a number for the place of each vertex (N,), the same for those at one place."""
    _, places = np.unique(vertices.astype(np.float32), axis=0, return_inverse=True)
    return places.reshape(-1).astype(np.int64)


def is_closed(welded: npt.NDArray[np.int64]) -> bool:
    """Tell whether every edge of the triangles (M, 3) is passed in both directions equally often."""
    starts, ends = welded.ravel(), np.roll(welded, -1, axis=1).ravel()
    proper = starts != ends
    size = welded.max(initial=0) + 1
    forth, back = (starts * size + ends)[proper], (ends * size + starts)[proper]
    return bool(np.array_equal(np.sort(forth), np.sort(back)))


def doubled(welded: npt.NDArray[np.int64]) -> float:
    """Return the share of the triangles (M, 3) that have the same three corners as another."""
    _, counts = np.unique(np.sort(welded, axis=1), axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / max(len(welded), 1))
