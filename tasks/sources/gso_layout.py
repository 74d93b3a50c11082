"""SyncDreamer's layout of test objects: a folder each with 000.png to 015.png and model.obj (docs/evaluation.md).

It knows what the layout promises (cameras, sizes, how a mesh lies in the pictures) and says what a folder breaks of it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image

from models.data.photo_files import BROKEN
from render.images import Rgba
from tasks.sources.names import name_objects

PICTURES = tuple(f"{index:03}.png" for index in range(16))
"""Picture k is taken from azimuth 22.5 k degrees; the first is the one that a method is given."""
MODEL = "model.obj"
ANGLES_DEG: Mapping[str, float] = {
    "sofa": -90.0,
    "sorter": 112.5,
    **dict.fromkeys(("elephant", "school_bus1"), 180.0),
    **dict.fromkeys(("school_bus2", "shoe", "train", "turtle"), 225.0),
    **dict.fromkeys(("alarm", "backpack", "blocks", "chicken", "grandfather", "grandmother", "lion"), 270.0),
    **dict.fromkeys(("lunch_bag", "mario", "oil", "soap"), 270.0),
    **dict.fromkeys(("bell", "cream", "hat", "leather", "shoe1", "shoe2", "shoe3", "sorting_board"), 0.0),
    **dict.fromkeys(("stucking_cups", "teapot", "toaster"), 0.0),
}
"""The thirty objects of SyncDreamer's test, each with the angle of its eval_mesh.py (get_gt_rotate_angle)."""
_NO_MESH = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What trimesh raises for a broken OBJ file, depending on where it is broken."""


@dataclass(frozen=True)
class TrueMesh:
    """A ground-truth mesh in the frame of its pictures: longest side 1, centre of its box at the origin, Z up."""

    vertices: npt.NDArray[np.float64]
    """(N, 3)."""
    faces: npt.NDArray[np.int64]
    """(F, 3) indices of vertices."""


def find_gso_objects(root: Path) -> dict[str, Path]:
    """Return the folder of each object by uid, sorted by uid; hidden folders and loose files are no objects.

    Raises ValueError when `root` is no folder, or holds the pictures of one object itself.
    """
    if not root.is_dir():
        raise ValueError(f"gso_eval.folder is {root}, which is no folder; make it, or name another one")
    if (root / PICTURES[0]).exists():
        raise ValueError(f"gso_eval.folder is {root}, which holds the pictures of one object; name the folder above it")
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    uids = name_objects([f"{path.name}/{MODEL}" for path in folders])
    return dict(sorted((uids[f"{path.name}/{MODEL}"], path) for path in folders))


def read_pictures(folder: Path, side: int) -> list[Rgba]:
    """Read the 16 pictures of an object.

    Args:
        folder: The object's.
        side: Pixels along each side that they must have.

    Returns uint8 (side, side, 4) each, straight alpha, as stored.

    Raises ValueError with the first file that is missing, unreadable or not such a picture.
    """
    missing = [name for name in PICTURES if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(f"{missing[0]}{more} of the pictures {PICTURES[0]} to {PICTURES[-1]} are missing")
    return [_read_picture(folder / name, side) for name in PICTURES]


def _read_picture(path: Path, side: int) -> Rgba:
    try:
        with Image.open(path) as picture:
            size, mode = picture.size, picture.mode
            is_due = (size, mode) == ((side, side), "RGBA")
            pixels = np.array(picture) if is_due else np.empty((0, 0, 4), np.uint8)
    except BROKEN as error:
        raise ValueError(f"{path.name} cannot be read as a picture: {error}") from error
    if mode != "RGBA":
        raise ValueError(f"{path.name} is {mode}; the pictures are RGBA, and their alpha is the object's mask")
    if not is_due:
        raise ValueError(f"{path.name} has {size[0]} x {size[1]} pixels; gso_eval.resolution is {side}")
    if pixels[..., 3].min() == 255 or pixels[..., 3].max() == 0:
        what = "opaque" if pixels[0, 0, 3] else "transparent"
        raise ValueError(f"{path.name} is {what} everywhere; the alpha of the pictures is the object's mask")
    return pixels


def extra_files(folder: Path) -> list[str]:
    """Name what else an object's folder holds that looks like a picture or a mesh of the layout, such as 016.png."""
    names = {path.name for path in folder.iterdir() if path.suffix.lower() in (".png", ".obj")}
    return sorted(names - {*PICTURES, MODEL})


def read_true_mesh(path: Path, angle_deg: float) -> TrueMesh:
    """Read a ground-truth mesh, stored Z up in any size, and place it as it lies in the pictures.

    Args:
        path: The OBJ file.
        angle_deg: The object's ground-truth angle; the mesh is turned by minus it about Z.

    Raises ValueError when the file cannot be read or encloses no box.
    """
    try:
        loaded = trimesh.load_mesh(path, process=False)
        vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
        used = vertices[faces]  # raises where a face names a vertex that there is not
    except _NO_MESH as error:
        raise ValueError(
            f"{path.name} cannot be read: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error
    if not len(faces):
        raise ValueError(f"{path.name} holds no faces")
    low, high = used.min(axis=(0, 1)), used.max(axis=(0, 1))
    longest = float((high - low).max())
    if not 0 < longest < math.inf:
        raise ValueError(f"{path.name} has the longest side {longest}; it must be a positive number")
    angle = math.radians(-angle_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    return TrueMesh((vertices - (low + high) / 2) / longest @ turn.T, faces)


def absent(uids: Iterable[str]) -> list[str]:
    """Return which of the thirty objects are not among `uids`."""
    return sorted(ANGLES_DEG.keys() - set(uids))
