"""Writes view sets in the layout of NeRF tools: a folder per object with `transforms.json` and its views."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from render.cameras import Camera
from render.passes import DEPTH_UNIT
from tasks.artifacts.atomic import atomic_folder, write_bytes
from tasks.artifacts.views import ViewSet

TRANSFORMS = "transforms.json"


def export_nerf(views: Path, uids: Iterable[str], out: Path) -> list[Path]:
    """Write `out/<uid>/transforms.json` and the files of the views of each object, and return the folders.

    Args:
        views: A sealed view set.
        uids: The objects; all of them where it is empty.
        out: The folder to write to. An object appears in it whole or not at all.

    Raises ValueError when `views` is not sealed, when it has no such object, or when one is in `out` already.
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


def transforms(cameras: Sequence[Camera], side: int, files: Iterable[str] = ()) -> dict[str, Any]:
    """Return the content of transforms.json: 4x4 poses in OpenGL axes, Z up, and intrinsics in pixels, per frame.

    `camera_angle_x` (radians) stands at the top when all frames share it, as the synthetic NeRF scenes have it. Depth
    and normals are named where `files` has them; `integer_depth_scale` is world units per step of a depth file.
    """
    angles, present = {camera.fov_deg for camera in cameras}, set(files)
    shared = {"camera_angle_x": math.radians(angles.pop())} if len(angles) == 1 else {}
    if any(name.endswith(".depth.png") for name in present):
        shared["integer_depth_scale"] = DEPTH_UNIT
    return {**shared, "w": side, "h": side, "frames": [_frame(camera, side, present) for camera in cameras]}


def _frame(camera: Camera, side: int, present: set[str]) -> dict[str, Any]:
    focal = float(camera.pixel_from_camera(side)[0, 0])
    intrinsics = {"fl_x": focal, "fl_y": focal, "cx": side / 2, "cy": side / 2}
    pose = camera.world_from_camera.tolist()
    passes = {
        f"{kind}_file_path": f"{camera.name}.{kind}.png"
        for kind in ("depth", "normal")
        if f"{camera.name}.{kind}.png" in present
    }
    return {"file_path": f"{camera.name}.png", **passes, "transform_matrix": pose, **intrinsics}


def _export_object(views: ViewSet, uid: str, folder: Path) -> Path:
    cameras = views.cameras(uid)
    side = len(views.image(uid, cameras[0].name))
    with atomic_folder(folder) as part:
        files = [name for name in views.reader.names(uid) if name.endswith(".png")]
        for name in files:
            write_bytes(part / name, views.reader.read(uid, name))
        write_bytes(part / TRANSFORMS, json.dumps(transforms(cameras, side, files), indent=1).encode())
    return folder
