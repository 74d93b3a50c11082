"""Reads the views of an object as ProObjaverse-300K releases them: a tar of UID/NNN.json and UID/NNN.rgba.webp.

The layout is that of GAP-LAB-CUHK-SZ/ReconViaGen (README.md and dataset.py at f672092). `intrinsic` is 3 x 3;
`extrinsic`, for all its name, is the 4 x 4 pose of the camera in the world, as public code says that audits the data.
Which of its axes points forward, which axis of the world points up, and how large objects are, is said nowhere:
tasks.given_views.frames finds out.
"""

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from models.data.photo_files import BROKEN
from render.cameras import Matrix
from render.images import Rgba

GIVEN = "views.tar"
"""Name of the archive beside an object's file."""
PICTURE, CAMERA = ".rgba.webp", ".json"
MAX_VIEWS = 1000


@dataclass(frozen=True)
class GivenView:
    """One released view, not yet decoded."""

    name: str
    """Its number, as in 007."""
    pose: Matrix
    """4x4, camera to world, in whatever axes its makers use."""
    intrinsics: Matrix
    """3x3, in pixels or in shares of the image's side."""
    picture: bytes

    def rgba(self) -> Rgba:
        """Decode the picture: uint8 (H, H, 4), straight alpha.

        Raises ValueError for one that is broken, has no alpha or is not square.
        """
        try:
            with Image.open(io.BytesIO(self.picture)) as picture:
                if picture.mode != "RGBA" or picture.width != picture.height:
                    raise ValueError(f"view {self.name} is {picture.mode} of {picture.size}; expected square RGBA")
                return np.array(picture)
        except BROKEN as error:
            raise ValueError(f"view {self.name} cannot be decoded: {error}") from error


def read_given_views(path: Path) -> list[GivenView]:
    """Return the complete views of an archive, in the order of their names.

    Some of the released archives end in the middle of a file: what is whole before counts. A view without a camera, or
    with one that is no camera, is left out.

    Raises ValueError for a file that is no tar.
    """
    cameras: dict[str, bytes] = {}
    pictures: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                kept = cameras if name.endswith(CAMERA) else pictures if name.endswith(PICTURE) else None
                if kept is None or not member.isfile() or len(kept) >= MAX_VIEWS:
                    continue
                content = archive.extractfile(member)
                kept[name.split(".")[0]] = content.read() if content else b""
    except (tarfile.TarError, EOFError, OSError) as error:
        if not cameras:
            raise ValueError(f"{path.name} is no archive of views: {error}") from error
    return [
        view
        for name in sorted(cameras.keys() & pictures.keys())
        if (view := _view(name, cameras[name], pictures[name]))
    ]


def _view(name: str, camera: bytes, picture: bytes) -> GivenView | None:
    try:
        row = json.loads(camera)
        pose, intrinsics = (np.array(row[key], dtype=np.float64) for key in ("extrinsic", "intrinsic"))
    except (ValueError, TypeError, KeyError):
        return None
    is_camera = (
        pose.shape == (4, 4) and intrinsics.shape == (3, 3) and np.isfinite([*pose.flat, *intrinsics.flat]).all()
    )
    is_rigid = is_camera and np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=2e-3)
    return GivenView(name, pose, intrinsics, picture) if is_rigid and intrinsics[0, 0] > 0 else None
