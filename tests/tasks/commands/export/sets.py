"""View sets to export: small ones with a known pixel for a known point, and a sphere with true depth and normals."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from render.cameras import Camera, Matrix, project
from render.passes import View
from tasks.artifacts.manifest import Kind, seal
from tasks.artifacts.shards import lay_out, read_item
from tasks.artifacts.views import seal_views, write_views
from tasks.commands.export.layouts import export_views
from tasks.commands.export.source import Source
from tasks.config import DownloadConfig
from tasks.outcome import Done
from tests.tasks.toolbox import QuietProgress

POINT = np.array([0.2, -0.1, 0.3])
RADIUS = 0.5
SIDE = 24


def export(source: Source, layout: str, out: Path) -> str:
    return export_views(source, layout, out, QuietProgress())


def our_pixel(camera: Camera, side: int) -> list[float]:
    """Where our camera sees POINT: x right and y down, in pixels."""
    pixels, _ = project(camera, POINT[None], side)
    return [float(value) for value in pixels[0]]


def sphere_view(camera: Camera, side: int = SIDE) -> View:
    """A sphere at the origin, by the equation of its rays, with depth and normals in world space."""
    y, x = np.mgrid[:side, :side] + 0.5
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(camera.pixel_from_camera(side)).T
    rays = rays / -rays[..., 2:]
    directions = rays @ camera.world_from_camera[:3, :3].T
    eye = camera.world_from_camera[:3, 3]
    half, square = directions @ eye, (directions**2).sum(axis=-1)
    inside = half**2 - square * (eye @ eye - RADIUS**2)
    depth = np.where(inside > 0, (-half - np.sqrt(inside.clip(0))) / square, 0)
    points = eye + directions * depth[..., None]
    normal = np.where(inside[..., None] > 0, points / RADIUS, 0)
    rgba = np.zeros((side, side, 4), dtype=np.uint8)
    rgba[inside > 0] = (200, 120, 40, 255)
    return View(rgba, depth.astype(np.float32), normal.astype(np.float32))


def plain_view(camera: Camera, side: int = SIDE) -> View:
    """Pixels that tell cameras apart."""
    rng = np.random.default_rng([int(camera.azimuth_deg * 10), int(camera.elevation_deg * 10) + 900])
    return View(rng.integers(0, 256, (side, side, 4), dtype=np.uint8))


def seal_objects(
    folder: Path, objects: Mapping[str, Sequence[Camera]], *, passes: bool = False, val: Sequence[str] = ()
) -> Path:
    """Seal `folder/views` with the views of some objects from some cameras, and return it."""
    for uid, cameras in objects.items():
        made = [sphere_view(camera) if passes else plain_view(camera) for camera in cameras]
        write_views(folder / "items" / f"{uid}.tar", cameras, made, {})
    items = {uid: partial(read_item, folder / "items" / f"{uid}.tar") for uid in objects}
    out = folder / "views"
    seal_views(items, lay_out(items, 100), out)
    outcomes = [Done(uid, {"split": "val" if uid in val else "train"}) for uid in objects]
    seal(out, Kind.VIEWS, config=DownloadConfig(max_mb=1, max_failed_share=0), inputs={}, outcomes=outcomes)
    return out


def seen_by_opencv(extrinsics: Matrix, intrinsics: Matrix) -> list[float]:
    """Where a camera of OpenCV's axes sees POINT, from 3x4 or 4x4 extrinsics and 3x3 intrinsics."""
    in_camera = extrinsics[:3, :3] @ POINT + extrinsics[:3, 3]
    x, y, depth = intrinsics @ in_camera
    assert depth > 0
    return [x / depth, y / depth]
