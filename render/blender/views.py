"""Renders the views of an object, one after the other, in a scene that is built once."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from render.blender.files import report_full_disk
from render.blender.geometry import configure_geometry_passes, render_geometry_passes
from render.blender.meshes import Vertices, mesh_instances, used_vertices
from render.blender.scene import LOADED, load, move_object
from render.blender.settings import add_camera, add_lights, configure, place_camera, render_only
from render.cameras import Camera
from render.config import RenderConfig
from render.device import Machine
from render.images import Rgba, decode_png
from render.lights import build_rig
from render.passes import Floats, View
from render.placement import Placement
from render.randomness import hashed_bits
from render.stdout import captured_stdout
from render.window import PixelWindow, convex_hull, pixel_window

VIEW_FILE = "view.png"


@dataclass(frozen=True)
class PreparedScene:
    """A loaded object with its lights and camera, ready for views to be rendered."""

    load_id: int
    """Tells this load from later ones: Blender holds one scene per process."""
    folder: Path
    """Where Blender writes what it renders."""
    outline: Vertices
    """(N, 3) points in world space whose convex hull contains the whole object."""
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
    """Render an object from each camera (sec. 4.1).

    A view has the same pixels whatever ran before, whichever other views are rendered and however many threads work.

    Args:
        path: File of one of the kinds of render.formats.
        placement: From the file's units to the world, usually `normalize_bounds` of the object's report.
        cameras: One per view.
        config: Resolution, quality, light and passes; its cameras are not used.
        uid: The object's name; with `seed` it fixes the noise and the drawn lights.
        seed: The run's seed.
        machine: Threads and device of this process.

    Yields one View per camera, in order, as soon as it is rendered (all at the end where `config.passes` is not empty):
    uint8 RGBA (H, W, 4) with straight alpha, and depth (H, W) and normals (H, W, 3) where `config.passes` names them.

    Raises Unrenderable when Blender cannot read the file, RuntimeError when it finds no such device as `machine` asks
    for or when another object is loaded before the last view, OSError(ENOSPC) when the temporary folder is full.
    """
    with tempfile.TemporaryDirectory() as folder:
        with captured_stdout():
            scene = prepare(path, placement, config, Path(folder), uid=uid, seed=seed, machine=machine)
        if not config.passes:
            for camera in cameras:
                with captured_stdout():
                    view = View(render_rgba(camera, scene))
                yield view
            return
        with captured_stdout():
            images = [render_rgba(camera, scene) for camera in cameras]
            configure_geometry_passes(scene.folder)
            geometry = [render_geometry(camera, scene) for camera in cameras]
        for rgba, (depth, normal) in zip(images, geometry, strict=True):
            yield View(rgba, depth if "depth" in config.passes else None, normal if "normal" in config.passes else None)


def prepare(
    path: Path, placement: Placement, config: RenderConfig, folder: Path, *, uid: str, seed: int, machine: Machine
) -> PreparedScene:
    """Load an object and set everything that its views share; Blender will write what it renders to `folder`."""
    load_id = load(path, placement.up_axis)
    move_object(placement)
    vertices = [used_vertices(vertices, faces) for vertices, faces in mesh_instances()]
    outline = convex_hull(np.concatenate([np.empty((0, 3)), *vertices]))
    add_lights(build_rig(config.light, np.random.default_rng(hashed_bits(31, seed, uid, "light"))))
    add_camera()
    configure(config, machine)
    bpy.context.scene.cycles.seed = hashed_bits(31, seed, uid, "noise")  # per object: a new one costs a full update
    return PreparedScene(load_id, folder, outline, config)


def render_rgba(camera: Camera, scene: PreparedScene) -> Rgba:
    """Render one image (H, W, 4). Colour under zero alpha, into which the denoiser bleeds, is set to black.

    Raises RuntimeError when another object was loaded since.
    """
    side, file = scene.config.resolution, scene.folder / VIEW_FILE
    image: Rgba = np.zeros((side, side, 4), dtype=np.uint8)
    window = aim(camera, scene)
    if window is not None:
        bpy.context.scene.render.filepath = str(file)
        bpy.ops.render.render(write_still=True)
        with report_full_disk(file, image.nbytes):
            image[window.rows, window.columns] = decode_png(file.read_bytes())
        image[image[..., 3] == 0] = 0
    return image


def render_geometry(camera: Camera, scene: PreparedScene) -> tuple[Floats, Floats]:
    """Render depth (H, W) and normals (H, W, 3) of one view, after `configure_geometry_passes`.

    Raises RuntimeError when another object was loaded since.
    """
    side = scene.config.resolution
    depth, normal = np.zeros((side, side), dtype=np.float32), np.zeros((side, side, 3), dtype=np.float32)
    window = aim(camera, scene)
    if window is not None:
        depth[window.rows, window.columns], normal[window.rows, window.columns] = render_geometry_passes(scene.folder)
    return depth, normal


def aim(camera: Camera, scene: PreparedScene) -> PixelWindow | None:
    """Place Blender's camera and limit rendering to the pixels that the object can cover.

    Returns these pixels; None where the object is out of view. Raises RuntimeError when another object was loaded.
    """
    if bpy.context.scene.get(LOADED) != scene.load_id:
        raise RuntimeError("another object was loaded before all views of this one were taken; take them all first")
    window = pixel_window(camera, scene.outline, scene.config.resolution)
    if window is not None:
        place_camera(camera)
        render_only(window, scene.config.resolution)
    return window
