"""Meshes that turn in the browser: decimated, packed into the page, and the library that draws them.

three.js comes from the viewer page of the package trimesh (MIT, its notice stays in the source), so the page fetches
nothing. `templates/viewer.js` unpacks what `packed` packs.
"""

import base64
import io
from dataclasses import dataclass
from functools import cache
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt
from trimesh import resources

from models.reconstruction.mesh import Mesh

ARCHIVE, PAGE = "templates/viewer.zip", "viewer.html.template"
LIBRARY_END = "(function(){const _changeEvent"
"""Where the controls begin that follow three.js in trimesh's page."""
LOADER_END = "var camera,controls,scene,"
"""Where the page's own code begins, after controls and the loader of GLB."""
FACE_BYTES = 15
"""About what a face takes in the page: six bytes of indices and half a vertex of nine, as base64."""
MIN_FACES, MAX_FACES = 800, 20_000
GRID_CELLS = 256
"""Cells per unit length of the finest grid that merges vertices."""
STEPS = 32767
"""Steps of a coordinate per unit length."""


@dataclass(frozen=True)
class TurningMesh:
    """A mesh that the page holds, for `templates/viewer.js`."""

    label: str
    data: str
    """What `packed` made."""
    faces: int


def three_js() -> str:
    """Return the source of three.js, for a script element of a page."""
    return _source_until(LIBRARY_END)


def three_js_with_loader() -> str:
    """Return the source of three.js with its loader of GLB, for a script element of a page."""
    return _source_until(LOADER_END)


@cache
def _source_until(mark: str) -> str:
    page = ZipFile(io.BytesIO(resources.get_bytes(ARCHIVE))).read(PAGE).decode()
    library, end, _ = page.partition("<script>")[2].partition(mark)
    assert end, f"{ARCHIVE} of this trimesh does not hold {mark}; the pin in requirements.txt was tested"
    assert "</script" not in library
    return library


def face_budget(num_bytes: int, num_meshes: int) -> int:
    """Return how many faces each of so many meshes may have where they share `num_bytes` of the page."""
    return int(np.clip(num_bytes // (FACE_BYTES * max(1, num_meshes)), MIN_FACES, MAX_FACES))


def turning_mesh(mesh: Mesh, label: str, max_faces: int) -> TurningMesh:
    """Decimate and pack a mesh."""
    small = decimated(mesh, max_faces)
    return TurningMesh(label, packed(small), len(small.faces))


def decimated(mesh: Mesh, max_faces: int) -> Mesh:
    """Merge the vertices within each cell of a grid that is just coarse enough to leave at most `max_faces` faces.

    A merged vertex lies, and is coloured, at the mean of its members. A mesh that is small enough stays as it is.
    """
    small, cells = mesh, GRID_CELLS
    while len(small.faces) > max_faces:
        small = _merged(mesh, cells)
        cells = int(cells * min(0.95, (max_faces / max(1, len(small.faces))) ** 0.5))  # faces grow with cells squared
    return small


def _merged(mesh: Mesh, cells: int) -> Mesh:
    """Merge vertices within cells of the side 1 / `cells`; faces that collapse or stand twice go."""
    cell = np.floor(mesh.vertices * cells).astype(np.int64)
    extent = np.ptp(cell, axis=0) + 1
    key = np.ravel_multi_index(tuple((cell - cell.min(axis=0)).T), tuple(extent))
    _, member, count = np.unique(key, return_inverse=True, return_counts=True)
    faces = member[mesh.faces]
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    means = [
        np.stack([np.bincount(member, values[:, axis]) for axis in range(3)], axis=1) / count[:, None]
        for values in (mesh.vertices, mesh.colours)
    ]
    return Mesh(means[0].astype(np.float32), faces[np.sort(first)].astype(np.int32), np.rint(means[1]).astype(np.uint8))


def packed(mesh: Mesh) -> str:
    """Pack a mesh inside [-1, 1]^3 as base64, little-endian.

    Two uint32 (vertices N, faces F), int16 (N, 3) positions in 1 / STEPS, uint16 (F, 3) indices, uint8 (N, 3) sRGB.
    """
    used, faces = np.unique(mesh.faces, return_inverse=True)
    assert len(used) <= np.iinfo(np.uint16).max + 1, "decimate first"
    positions = np.rint(STEPS * np.clip(mesh.vertices[used], -1, 1))
    parts: list[npt.NDArray[np.generic]] = [
        np.array([len(used), len(mesh.faces)], "<u4"),
        positions.astype("<i2"),
        faces.astype("<u2"),
        mesh.colours[used],
    ]
    return base64.b64encode(b"".join(part.tobytes() for part in parts)).decode()
