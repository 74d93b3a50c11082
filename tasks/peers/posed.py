"""Readers of folders that bring their own cameras: transforms.json of NeRF tools, and poses as Zero123 renders them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from render.cameras import Matrix
from render.views import SYNCDREAMER_FOV_DEG
from tasks.peers.cameras import PeerCamera
from tasks.peers.layout import PeerView, Request
from tasks.peers.pictures import read_square, read_tiles, with_mask

TRANSFORMS = "{uid}/transforms.json"


def read_transforms(request: Request) -> list[PeerView]:
    """Read the frames of `<uid>/transforms.json`: world from camera in OpenGL axes, in the frame of the test set.

    Intrinsics stand in each frame or, for all, at the top, as `fl_x` and `w` in pixels or as `camera_angle_x` in
    radians. A path without an ending means a PNG file.

    Raises ValueError for a field or file that is missing, a pose of another shape or a picture that is not square.
    """
    path = request.file(TRANSFORMS)
    try:
        table = json.loads(path.read_bytes())
        frames = table["frames"]
    except (ValueError, KeyError, TypeError) as fault:
        raise ValueError(f"{path} is no transforms.json with a list `frames` ({fault!r}); write it again") from fault
    shared = {key: value for key, value in table.items() if key != "frames"}
    return [_read_frame(path, number, shared | frame) for number, frame in enumerate(frames)]


def _read_frame(path: Path, number: int, frame: dict[str, Any]) -> PeerView:
    missing = {"file_path", "transform_matrix"} - frame.keys()
    if missing or frame["file_path"] is None:
        raise ValueError(f"{path}: frame {number} has no {' and no '.join(sorted(missing or {'file_path'}))}")
    name = str(frame["file_path"])
    file = path.parent / (name if Path(name).suffix else f"{name}.png")
    if not file.is_file():
        raise ValueError(f"{path}: frame {number} names {name}, but there is no {file}")
    pose = _pose(frame["transform_matrix"], f"{path}: frame {number}")
    rgba = read_square(file)
    return PeerView(PeerCamera(pose, fov_deg=_fov_deg(path, number, frame, rgba.shape[1])), with_mask(rgba))


def _pose(rows: object, where: str) -> Matrix:
    pose = np.array(rows, dtype=np.float64)
    if pose.shape not in ((3, 4), (4, 4)):
        raise ValueError(f"{where} has a pose of shape {pose.shape}; expected 4 x 4 (world from camera)")
    return np.vstack([pose[:3], [0.0, 0.0, 0.0, 1.0]])


def _fov_deg(path: Path, number: int, frame: dict[str, Any], width: int) -> float:
    if "fl_x" in frame:
        return math.degrees(2 * math.atan(frame.get("w", width) / (2 * frame["fl_x"])))
    if "camera_angle_x" in frame:
        return math.degrees(frame["camera_angle_x"])
    raise ValueError(f"{path}: frame {number} has neither fl_x nor camera_angle_x; give one per frame or for all")


def read_eschernet(request: Request) -> list[PeerView]:
    """Read EscherNet's strip `<uid>/0.png`, or from 100 views on `<uid>/N.png`, with the poses `<uid>/NNN.npy`.

    The poses are those that the model was asked for: 3 x 4, camera from world in OpenGL axes, as Zero123's Blender
    script writes them (kxhit/EscherNet, eval_eschernet.py: `render_mvs_25`), in the frame of the test set.

    Raises ValueError for a file that is missing or of another shape.
    """
    folder = request.folder / request.uid
    poses = sorted(folder.glob("[0-9][0-9][0-9].npy")) or sorted(folder.glob("model/[0-9][0-9][0-9].npy"))
    if not poses:
        raise ValueError(f"{request.uid} is incomplete: {folder} has no 000.npy; copy the poses of the views there")
    cameras = [_zero123_camera(path) for path in poses]
    single = [folder / f"{number}.png" for number in range(len(poses))]
    if len(poses) > 1 and all(path.is_file() for path in single):
        pictures = [read_square(path) for path in single]
    else:
        pictures = read_tiles(request.file("{uid}/0.png"), 1, len(poses))
    return [PeerView(camera, with_mask(rgba)) for camera, rgba in zip(cameras, pictures, strict=True)]


def _zero123_camera(path: Path) -> PeerCamera:
    try:
        camera_from_world = _pose(np.load(path, allow_pickle=False), str(path))
    except (OSError, EOFError, ValueError, MemoryError) as fault:
        raise ValueError(f"{path} cannot be read as an array ({fault}); write it again") from fault
    return PeerCamera(np.linalg.inv(camera_from_world), fov_deg=SYNCDREAMER_FOV_DEG)
