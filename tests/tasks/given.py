"""Archives of views as ProObjaverse-300K releases them, drawn of a mesh in any frame."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from models.reconstruction.raster import rasterise
from render.cameras import Camera
from tasks.artifacts.views import as_cameras
from tasks.given_views.frames import AXES, UP, GivenFrame

SIDE = 64


def random_cameras(count: int, seed: int = 0) -> list[Camera]:
    """Cameras anywhere around the object."""
    rng = np.random.default_rng(seed)
    return [
        Camera(f"{number:03}", rng.uniform(0, 360), rng.uniform(-20, 60), rng.uniform(1.6, 2.2), 45.0)
        for number in range(count)
    ]


def write_archive(
    path: Path,
    mesh: tuple[np.ndarray, np.ndarray],
    cameras: Sequence[Camera],
    frame: GivenFrame,
    *,
    in_pixels: bool = True,
    roll_deg: float = 0.0,
    side: int = SIDE,
) -> None:
    """Write the views of a placed mesh with poses in `frame`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number, camera in enumerate(cameras):
            face = rasterise(*mesh, as_cameras([camera], side), 0).face
            rgba = np.zeros((side, side, 4), np.uint8)
            rgba[face >= 0] = [200, 10 + number, 30, 255]
            pose = camera.world_from_camera.copy()
            turn = np.radians(roll_deg)
            roll = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
            given = np.eye(4)
            given[:3, :3] = UP[frame.up].T @ pose[:3, :3] @ roll @ AXES[frame.axes][:3, :3]
            given[:3, 3] = UP[frame.up].T @ pose[:3, 3] * frame.longest_side
            focal = 0.5 / np.tan(np.radians(camera.fov_deg) / 2)
            intrinsics = np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1 / (side if in_pixels else 1)]])
            intrinsics *= side if in_pixels else 1
            add(archive, f"{path.stem}/{number:03}.json", camera_file(given, intrinsics))
            picture = io.BytesIO()
            Image.fromarray(rgba).rotate(-roll_deg).save(picture, "WEBP", lossless=True)
            add(archive, f"{path.stem}/{number:03}.rgba.webp", picture.getvalue())


def camera_file(extrinsic: np.ndarray, intrinsic: np.ndarray) -> bytes:
    return json.dumps({"extrinsic": extrinsic.tolist(), "intrinsic": intrinsic.tolist()}).encode()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
