"""View sets in other tools' layouts. NeRF: a folder per object with `transforms.json` and its pictures."""

import json
import math
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from render.cameras import Camera
from tasks.files import write_bytes
from tasks.views import ViewSet

TRANSFORMS = "transforms.json"


def export_nerf(views: Path, uids: Iterable[str], out: Path) -> list[Path]:
    """Write `out/<uid>/transforms.json` and `out/<uid>/<view>.png` per object (all of them where `uids` is empty).

    An object appears whole or not at all. Raises ValueError when `views` is not a sealed view set, when it has no such
    object, or when one is in `out` already.
    """
    view_set = ViewSet.open(views)
    chosen = sorted(set(uids)) or view_set.uids
    unknown = [uid for uid in chosen if uid not in view_set.reader.index]
    if unknown:
        raise ValueError(f"{views} has no object {unknown[0]}; it has {len(view_set.uids)}, such as {view_set.uids[0]}")
    present = [uid for uid in chosen if (out / uid).exists()]
    if present:
        raise ValueError(f"{out / present[0]} exists; export into another folder, or delete it")
    return [_export_object(view_set, uid, out / uid) for uid in chosen]


def transforms(cameras: Sequence[Camera], side: int) -> dict[str, Any]:
    """The table of NeRF tools: poses as world from camera in OpenGL axes, Z up, intrinsics in pixels per frame.

    `camera_angle_x` (radians) stands at the top when all frames share it, as the synthetic NeRF scenes have it.
    """
    angles = {camera.fov_deg for camera in cameras}
    shared = {"camera_angle_x": math.radians(angles.pop())} if len(angles) == 1 else {}
    return {**shared, "w": side, "h": side, "frames": [_frame(camera, side) for camera in cameras]}


def _frame(camera: Camera, side: int) -> dict[str, Any]:
    focal = float(camera.pixel_from_camera(side)[0, 0])
    intrinsics = {"fl_x": focal, "fl_y": focal, "cx": side / 2, "cy": side / 2}
    pose = camera.world_from_camera.tolist()
    return {"file_path": f"{camera.name}.png", "transform_matrix": pose, **intrinsics}


def _export_object(views: ViewSet, uid: str, folder: Path) -> Path:
    cameras = views.cameras(uid)
    side = len(views.image(uid, cameras[0].name))
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for camera in cameras:
            write_bytes(part / f"{camera.name}.png", views.reader.read(uid, f"{camera.name}.png"))
        write_bytes(part / TRANSFORMS, json.dumps(transforms(cameras, side), indent=1).encode())
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
