"""Views of an object, taken one after the other in a scene that is built once."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from render.blender.files import whole
from render.blender.geometry import look_at_geometry, take_geometry
from render.blender.scene import LOADED, Vertices, load, move_object, pieces, seen
from render.blender.settings import add_camera, aim, configure, look_through, switch_on
from render.cameras import Camera
from render.config import RenderConfig
from render.device import Machine
from render.images import Rgba, decode_png
from render.lights import build_rig
from render.passes import Floats, View
from render.placement import Placement
from render.stdout import captured_stdout
from render.window import PixelWindow, convex_hull, window

PICTURE = "view.png"


@dataclass(frozen=True)
class PreparedScene:
    """An object that waits for its views to be taken."""

    load_id: int
    """The number of the load."""
    folder: Path
    """Where Blender writes what it renders."""
    outline: Vertices
    """(N, 3) points in world space between which the whole object lies."""
    config: RenderConfig


def render_views(
    path: Path,
    placement: Placement,
    cameras: Sequence[Camera],
    config: RenderConfig,
    *,
    uid: str,
    seed: int,
    machine: Machine,
) -> Iterator[View]:
    """Yield one view per camera, in order, with depth and normals where `config.passes` asks for them.

    A view has the same pixels whatever ran before, whichever other views are taken and however many threads work:
    `seed` and `uid` fix the noise and the drawn lights. Raises Unrenderable when Blender cannot read the file,
    RuntimeError when it finds no such device as `machine` asks for.
    """
    with tempfile.TemporaryDirectory() as folder:
        with captured_stdout():
            ready = prepare(path, placement, config, Path(folder), uid=uid, seed=seed, machine=machine)
        if not config.passes:
            for camera in cameras:
                with captured_stdout():
                    view = View(render_rgba(camera, ready))
                yield view
            return
        with captured_stdout():
            pictures = [render_rgba(camera, ready) for camera in cameras]
            look_at_geometry(ready.folder)
            surfaces = [render_geometry(camera, ready) for camera in cameras]
        for rgba, (depth, normal) in zip(pictures, surfaces, strict=True):
            yield View(rgba, depth if "depth" in config.passes else None, normal if "normal" in config.passes else None)


def prepare(
    path: Path, placement: Placement, config: RenderConfig, folder: Path, *, uid: str, seed: int, machine: Machine
) -> PreparedScene:
    """Set the scene for all views of an object; Blender writes what it renders to files in `folder`."""
    load_id = load(path)
    move_object(placement)
    outline = convex_hull(np.concatenate([np.empty((0, 3)), *(seen(vertices, faces) for vertices, faces in pieces())]))
    switch_on(build_rig(config.light, np.random.default_rng(number(seed, uid, "light"))))
    add_camera()
    configure(config, machine)
    bpy.context.scene.cycles.seed = number(seed, uid, "noise")  # per object: a new one costs a full update
    return PreparedScene(load_id, folder, outline, config)


def render_rgba(camera: Camera, ready: PreparedScene) -> Rgba:
    """Render one picture. Colour under zero alpha, into which the denoiser bleeds, is set to black.

    Raises RuntimeError when another object was loaded since.
    """
    side, picture = ready.config.resolution, ready.folder / PICTURE
    image: Rgba = np.zeros((side, side, 4), dtype=np.uint8)
    part = point(camera, ready)
    if part is not None:
        bpy.context.scene.render.filepath = str(picture)
        bpy.ops.render.render(write_still=True)
        with whole(picture, image.nbytes):
            image[part.rows, part.columns] = decode_png(picture.read_bytes())
        image[image[..., 3] == 0] = 0
    return image


def render_geometry(camera: Camera, ready: PreparedScene) -> tuple[Floats, Floats]:
    """Depth (H, W) and normals (H, W, 3) of one view, after `look_at_geometry`; raises as `render_rgba` does."""
    side = ready.config.resolution
    depth, normal = np.zeros((side, side), dtype=np.float32), np.zeros((side, side, 3), dtype=np.float32)
    part = point(camera, ready)
    if part is not None:
        depth[part.rows, part.columns], normal[part.rows, part.columns] = take_geometry(ready.folder)
    return depth, normal


def point(camera: Camera, ready: PreparedScene) -> PixelWindow | None:
    """Put the camera where it belongs; the part of the picture that it renders, None where there is nothing to see."""
    if bpy.context.scene.get(LOADED) != ready.load_id:
        raise RuntimeError("another object was loaded before all views of this one were taken; take them all first")
    part = window(camera, ready.outline, ready.config.resolution)
    if part is not None:
        aim(camera)
        look_through(part, ready.config.resolution)
    return part


def number(*names: str | int) -> int:
    """A number in [0, 2^31) that depends on `names` only."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
