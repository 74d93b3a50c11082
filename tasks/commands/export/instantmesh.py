"""The layout of InstantMesh's training data, which NovelGS reads too.

Told from TencentARC/InstantMesh src/data/objaverse.py (files, keys, scale of depth), src/models/renderer/utils/
ray_sampler.py (axes) and issue 13 (objects fill the cube from -1 to 1), and from moonsliu/NovelGS docs/dataset.md.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from render.cameras import Matrix
from render.images import Rgba, encode_png
from render.passes import Floats
from tasks.artifacts.atomic import write_bytes, write_json
from tasks.commands.export.cameras import opengl_extrinsics, shared_cameras
from tasks.commands.export.pieces import write_folders
from tasks.commands.export.source import Source

FOLDER = "rendering_random_32views"
SIDE_OF_CUBE = 2.0
"""Longest side of an object; ours is 1, so camera distances and depths are doubled."""
DEPTH_SCALE = 4.0
"""Depth of the value 255 of a depth map; it stands for that depth and all beyond."""


def write_instantmesh(source: Source, out: Path) -> Iterator[str]:
    """Write `rendering_random_32views/<uid>/` and `valid_paths.json`; yield each object that is written.

    An object has `000.png`, .. (RGBA), `cameras.npz` with `cam_poses` (V, 3, 4), camera from world in OpenGL axes,
    and, where the view set has the passes, `000_depth.png` (8 bits) and `000_normal.png` (RGBA, world space).
    `valid_paths.json` lists under `good_objs` the objects to train on, under `val_objs` those that were held out.
    """
    yield from write_folders(source, out / FOLDER, _write_object)
    seen, held_out = source.seen_and_held_out()
    write_json(out / "valid_paths.json", {"good_objs": seen, "val_objs": held_out})


def instantmesh_settings(source: Source) -> str:
    """Return what the training's configuration has to say of the data.

    Raises ValueError when objects differ in number of views or field of view, of which the configuration holds one.
    """
    num_views, fov_deg = shared_cameras(source)
    first = source.uids[0]
    view = source.cameras(first)[0].name
    missing = [kind for kind in ("depth", "normal") if not source.has(first, view, kind)]
    reads = f"; InstantMesh also reads {' and '.join(missing)} maps, NovelGS does not: render.passes" if missing else ""
    return f"fov: {fov_deg:g}, total_view_n: {num_views}{reads}"


def _write_object(source: Source, uid: str, folder: Path) -> None:
    cameras = source.cameras(uid)
    for number, file in enumerate(source.files(uid, cameras)):
        view = file.camera.name
        write_bytes(folder / f"{number:03d}.png", file.png)
        if source.has(uid, view, "depth"):
            write_bytes(folder / f"{number:03d}_depth.png", _encode_depth(source.depth(uid, view)))
        if source.has(uid, view, "normal"):
            image = source.image(uid, file.camera)
            write_bytes(folder / f"{number:03d}_normal.png", _encode_normal(source.normal(uid, view), image))
    poses: Matrix = np.stack([opengl_extrinsics(camera)[:3] for camera in cameras])
    poses[:, :, 3] *= SIDE_OF_CUBE
    content = io.BytesIO()
    np.savez(content, cam_poses=poses)
    write_bytes(folder / "cameras.npz", content.getvalue())


def _encode_depth(depth: Floats) -> bytes:
    return encode_png(np.rint(depth * (SIDE_OF_CUBE * 255 / DEPTH_SCALE)).clip(0, 255).astype(np.uint8))


def _encode_normal(normal: Floats, image: Rgba) -> bytes:
    colours = np.where(normal.any(axis=-1, keepdims=True), np.rint((normal + 1) * 127.5), 0).astype(np.uint8)
    return encode_png(np.concatenate([colours, image[..., 3:]], axis=-1))
