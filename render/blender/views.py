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
from render.blender.settings import add_camera, aim, configure, look_through, set_quality, switch_on
from render.cameras import Camera
from render.chatter import captured_stdout
from render.config import RenderConfig
from render.images import Rgba, decode_png
from render.lights import build_rig
from render.machine import Machine
from render.passes import View
from render.placement import Placement
from render.window import hull, window

PICTURE = "view.png"


@dataclass(frozen=True)
class Ready:
    """An object that waits for its views to be taken."""

    ticket: int
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
        for camera in cameras:
            with captured_stdout():
                view = shoot(camera, ready)
            yield view


def prepare(
    path: Path, placement: Placement, config: RenderConfig, folder: Path, *, uid: str, seed: int, machine: Machine
) -> Ready:
    """Set the scene for all views of an object; Blender writes what it renders to files in `folder`."""
    ticket = load(path)
    move_object(placement)
    outline = hull(np.concatenate([np.empty((0, 3)), *(seen(vertices, faces) for vertices, faces in pieces())]))
    switch_on(build_rig(config.light, np.random.default_rng(number(seed, uid, "light"))))
    add_camera()
    configure(config, machine)
    bpy.context.scene.cycles.seed = number(seed, uid, "noise")  # per object: a new one costs a full update
    if config.passes:
        look_at_geometry(folder)
    return Ready(ticket, folder, outline, config)


def shoot(camera: Camera, ready: Ready) -> View:
    """Take one view.

    Raises RuntimeError when another object was loaded since.
    """
    scene, side, passes = bpy.context.scene, ready.config.resolution, ready.config.passes
    if scene.get(LOADED) != ready.ticket:
        raise RuntimeError("another object was loaded before all views of this one were taken; take them all first")
    view = View(
        np.zeros((side, side, 4), dtype=np.uint8),
        np.zeros((side, side), dtype=np.float32) if "depth" in passes else None,
        np.zeros((side, side, 3), dtype=np.float32) if "normal" in passes else None,
    )
    part = window(camera, ready.outline, side)
    if part is None:
        return view
    aim(camera)
    look_through(part, side)
    inside = np.s_[part.top : part.bottom, part.left : part.right]
    view.rgba[inside] = take_picture(ready)
    if passes:
        depth, normal = take_geometry(ready.folder)
        set_quality(ready.config.quality)
        if view.depth is not None:
            view.depth[inside] = depth
        if view.normal is not None:
            view.normal[inside] = normal
    return view


def take_picture(ready: Ready) -> Rgba:
    """Render what the camera sees. Colour under zero alpha, into which the denoiser bleeds, is set to black."""
    picture = ready.folder / PICTURE
    bpy.context.scene.render.filepath = str(picture)
    bpy.ops.render.render(write_still=True)
    with whole(picture, 4 * ready.config.resolution**2):
        image = decode_png(picture.read_bytes())
    image[image[..., 3] == 0] = 0
    return image


def number(*names: str | int) -> int:
    """A number in [0, 2^31) that depends on `names` only."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
