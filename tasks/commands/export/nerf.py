"""The layout of NeRF tools: a folder per object with `transforms.json` and its views."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from render.cameras import Camera
from render.passes import DEPTH_UNIT, encode_depth, encode_normal
from tasks.artifacts.atomic import write_bytes
from tasks.commands.export.pieces import write_folders
from tasks.commands.export.source import Source

TRANSFORMS = "transforms.json"


def write_nerf(source: Source, out: Path) -> Iterator[str]:
    """Write `<uid>/transforms.json` and the files of the views of each object; yield each object that is written."""
    return write_folders(source, out, _write_object)


def transforms(cameras: Sequence[Camera], sides: Sequence[int], files: Iterable[str] = ()) -> dict[str, Any]:
    """Return the content of transforms.json: 4x4 poses in OpenGL axes, Z up, and intrinsics in pixels, per frame.

    Args:
        cameras: Of the frames.
        sides: Of each frame's image, in pixels. `w` and `h` stand at the top when all frames share them, else in each.
        files: What lies beside the table; depth and normals are named where it has them.

    `camera_angle_x` (radians) stands at the top when all frames share it, as the synthetic NeRF scenes have it;
    `integer_depth_scale` is world units per step of a depth file.
    """
    angles, sizes, present = {camera.fov_deg for camera in cameras}, set(sides), set(files)
    shared: dict[str, Any] = {"camera_angle_x": math.radians(angles.pop())} if len(angles) == 1 else {}
    if any(name.endswith(".depth.png") for name in present):
        shared["integer_depth_scale"] = DEPTH_UNIT
    frames = [_frame(camera, side, present) for camera, side in zip(cameras, sides, strict=True)]
    if len(sizes) == 1:
        return {**shared, **_size(sizes.pop()), "frames": frames}
    return {**shared, "frames": [frame | _size(side) for frame, side in zip(frames, sides, strict=True)]}


def _size(side: int) -> dict[str, int]:
    return {"w": side, "h": side}


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


def _write_object(source: Source, uid: str, folder: Path) -> None:
    files = list(source.files(uid, source.cameras(uid)))
    for file in files:
        name = file.camera.name
        write_bytes(folder / f"{name}.png", file.png)
        if source.has(uid, name, "depth"):
            write_bytes(folder / f"{name}.depth.png", encode_depth(source.depth(uid, name)))
        if source.has(uid, name, "normal"):
            write_bytes(folder / f"{name}.normal.png", encode_normal(source.normal(uid, name)))
    present = [path.name for path in folder.iterdir()]
    table = transforms([file.camera for file in files], [file.side for file in files], present)
    write_bytes(folder / TRANSFORMS, json.dumps(table, indent=1).encode())
