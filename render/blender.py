"""One object in, posed views out. The only file that knows Blender; what to render is decided elsewhere.

Blender holds one scene per process, and its factory reset works on the main thread only: each function here
starts from an empty scene and refuses to run on another thread. Isolate by process what must not take others down.

An animated object stands as its first animation begins. Lights of the file do not shine; its cameras are not used.
"""

import hashlib
import itertools
import logging
import math
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from render.cameras import Camera, look_at_origin
from render.chatter import captured_stdout
from render.config import RenderConfig
from render.errors import Unrenderable, importer_reason
from render.finite import has_finite_vertices
from render.images import Rgba, decode_png
from render.lights import Rig, build_rig
from render.placement import Placement, Point
from render.quality import Quality
from render.report import ObjectReport
from render.window import Window, hull, window

Vertices = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int32]

LOADED = "loaded"
"""Property of the scene that tells one load from another."""
loads = itertools.count()
LEAST_THREADS = 2
"""Told to use one thread, Cycles keeps a second one spinning: 1.9 times the processor time for the same view. Two
threads on one processor cost what one would."""


def inspect(path: Path) -> ObjectReport:
    """What is in a GLB, glTF or OBJ file.

    Raises Unrenderable when Blender cannot read the file or a vertex is not finite; whether the rest will do is for
    `report.check`.
    """
    with captured_stdout():
        load(path)
        if not has_finite_vertices(path):
            raise Unrenderable("vertices are not finite")
        found = list(pieces())
        boxes = [bounds(seen(vertices, faces)) for vertices, faces in found if len(faces)]
        minimum, maximum = bounds(np.concatenate(boxes)) if boxes else np.zeros((2, 3))
        materials = used_materials()
        return ObjectReport(
            minimum=as_point(minimum),
            maximum=as_point(maximum),
            num_faces=sum(len(faces) for _, faces in found),
            num_meshes=len(found),
            num_materials=len(materials),
            missing_textures=missing_textures(materials),
            is_skinned=any(item.find_armature() is not None for item in bpy.data.objects),
            num_animations=len(bpy.data.actions),
        )


def triangles(path: Path, placement: Placement) -> tuple[npt.NDArray[np.float32], Triangles]:
    """The placed object as one mesh: vertices (N, 3) in world space and faces (M, 3) that index them.

    Raises Unrenderable when Blender cannot read the file or it has no faces.
    """
    with captured_stdout():
        load(path)
        found = [(vertices, faces) for vertices, faces in pieces() if len(faces)]
    if not found:
        raise Unrenderable("no faces: there is nothing to triangulate")
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in found[:-1]])
    vertices = transformed(np.concatenate([vertices for vertices, _ in found]), placement.world_from_object)
    faces = np.concatenate([faces + start for (_, faces), start in zip(found, starts, strict=True)])
    return vertices.astype(np.float32), faces.astype(np.int32)


def render_views(
    path: Path,
    placement: Placement,
    cameras: Sequence[Camera],
    config: RenderConfig,
    *,
    uid: str,
    seed: int,
    threads: int,
) -> Iterator[Rgba]:
    """Yield one image (H, W, 4) per camera, in order.

    A view has the same pixels whatever ran before, whichever other views are taken and however many `threads`: `seed`
    and `uid` fix the noise and the drawn lights. Raises Unrenderable when Blender cannot read the file.
    """
    with tempfile.TemporaryDirectory() as folder:
        with captured_stdout():
            ready = prepare(path, placement, config, Path(folder), uid=uid, seed=seed, threads=threads)
        for camera in cameras:
            with captured_stdout():
                image = shoot(camera, ready)
            yield image


@dataclass(frozen=True)
class Ready:
    """An object that waits for its views to be taken."""

    ticket: int
    """The number of the load."""
    picture: Path
    """Where Blender writes a view."""
    outline: Vertices
    """(N, 3) points in world space between which the whole object lies."""


def prepare(
    path: Path, placement: Placement, config: RenderConfig, folder: Path, *, uid: str, seed: int, threads: int
) -> Ready:
    """Set the scene for all views of an object; Blender writes them to a file in `folder`."""
    ticket = load(path)
    move_object(placement)
    outline = hull(np.concatenate([np.empty((0, 3)), *(seen(vertices, faces) for vertices, faces in pieces())]))
    switch_on(build_rig(config.light, np.random.default_rng(number(seed, uid, "light"))))
    add_camera()
    ready = Ready(ticket, folder / "view.png", outline)
    configure(config, ready.picture, threads)
    bpy.context.scene.cycles.seed = number(seed, uid, "noise")  # per object: a new one costs a full update
    return ready


def load(path: Path) -> int:
    """Empty Blender, import the file and return the number of this load."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Blender crashes when it is reset off the main thread; use a process, not a thread")
    if not path.is_file():
        raise FileNotFoundError(path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    try:
        import_file(path)
    except RuntimeError as error:
        raise Unrenderable(importer_reason(str(error))) from error
    finally:
        for logger in ("glTFImporter", "glTFImporter_errors"):  # the importer leaves its handlers behind when it fails
            logging.getLogger(logger).handlers.clear()
    for item in bpy.data.objects:
        item.hide_render = item.type == "LIGHT"  # kept, not removed: the object's parts may hang on it
    scene = bpy.context.scene
    scene.frame_set(0)
    scene[LOADED] = next(loads)
    return int(scene[LOADED])


def import_file(path: Path) -> None:
    """Add the file's content to the scene, Z up.

    Bone shapes are left out: they are meshes of 2 units that would count as part of the object.
    """
    kind = path.suffix.lower()
    if kind in {".glb", ".gltf"}:
        bpy.ops.import_scene.gltf(filepath=str(path), disable_bone_shape=True)
    elif kind == ".obj":
        bpy.ops.wm.obj_import(filepath=str(path))
    else:
        raise Unrenderable(f"files of kind '{kind}' are not read; convert it to GLB, glTF or OBJ")


def pieces() -> Iterator[tuple[Vertices, Triangles]]:
    """Vertices (N, 3) and faces (M, 3) of every occurrence of a mesh, as it will be rendered, in the file's units."""
    for occurrence in bpy.context.evaluated_depsgraph_get().object_instances:
        if occurrence.object.type == "MESH":
            mesh = occurrence.object.data
            local = read(mesh.vertices, "co", np.float32, 3).astype(np.float64)
            yield (
                transformed(local, np.array(occurrence.matrix_world)),
                read(mesh.loop_triangles, "vertices", np.int32, 3),
            )


def read(items: Any, attribute: str, kind: type, width: int) -> npt.NDArray[Any]:
    """An attribute of all `items` as an array (N, width)."""
    values: npt.NDArray[Any] = np.empty(len(items) * width, dtype=kind)
    items.foreach_get(attribute, values)
    return values.reshape(-1, width)


def transformed(points: Vertices, matrix: npt.NDArray[np.float64]) -> Vertices:
    """Points (N, 3) moved by a 4x4 affine transform."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def bounds(points: Vertices) -> npt.NDArray[np.float64]:
    """(2, 3): lowest and highest coordinates; NaN where a coordinate is NaN."""
    return np.stack([points.min(axis=0), points.max(axis=0)])


def seen(vertices: Vertices, faces: Triangles) -> Vertices:
    """The vertices (N, 3) that a face uses; the others cannot be seen."""
    used = np.zeros(len(vertices), dtype=bool)
    used[faces.ravel()] = True
    return vertices[used]


def as_point(values: npt.NDArray[np.float64]) -> Point:
    """Three plain floats."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def used_materials() -> list[Any]:
    """Every material that a mesh wears, by name."""
    worn = {slot.material for item in bpy.data.objects if item.type == "MESH" for slot in item.material_slots}
    return sorted(worn - {None}, key=lambda material: material.name)


def missing_textures(materials: Sequence[Any]) -> tuple[str, ...]:
    """Names of the images that `materials` use and that have no pixels; Blender would paint them magenta."""
    nodes = [node for material in materials if material.node_tree for node in material.node_tree.nodes]
    images = {node.image for node in nodes if node.type == "TEX_IMAGE" and node.image is not None}
    return tuple(sorted(Path(image.filepath).name or image.name for image in images if min(image.size) == 0))


def move_object(placement: Placement) -> None:
    """Hang everything that was imported on one node that carries the placement."""
    roots = [item for item in bpy.data.objects if item.parent is None]
    frame = add("placement", None, placement.world_from_object)
    for item in roots:
        item.parent = frame


def add(name: str, data: Any, matrix: npt.NDArray[np.float64]) -> Any:
    """Put a new object into the scene at a 4x4 pose."""
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    item.matrix_world = Matrix(matrix.tolist())
    return item


def switch_on(rig: Rig) -> None:
    """Carry out a light rig."""
    world = bpy.data.worlds.new("environment")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (1, 1, 1, 1)
    background.inputs["Strength"].default_value = rig.environment
    bpy.context.scene.world = world
    for sun in rig.suns:
        light = bpy.data.lights.new("sun", "SUN")
        light.energy, light.angle = sun.strength, math.radians(sun.softness_deg)
        add("sun", light, look_at_origin(sun.azimuth_deg, sun.elevation_deg, 1.0))


def add_camera() -> None:
    """A camera whose field of view is horizontal, and whose planes cut nothing off."""
    lens = bpy.data.cameras.new("camera")
    lens.sensor_fit, lens.clip_start, lens.clip_end = "HORIZONTAL", 1e-3, 1e3
    bpy.context.scene.camera = add("camera", lens, np.eye(4))


def configure(config: RenderConfig, picture: Path, threads: int) -> None:
    """Set what all views of an object share. Measured choices: RENDERING.md 2."""
    scene = bpy.context.scene
    render, cycles, file = scene.render, scene.cycles, scene.render.image_settings
    render.engine, render.film_transparent, render.use_persistent_data = "CYCLES", True, True
    render.resolution_x = render.resolution_y = config.resolution
    render.threads_mode, render.threads = "FIXED", max(threads, LEAST_THREADS)
    render.use_compositing = render.use_sequencer = False
    render.filepath = str(picture)
    render.dither_intensity = 0  # so that 8 bits are the exact rounding of Blender's floats
    file.file_format, file.color_mode, file.color_depth, file.compression = "PNG", "RGBA", "8", 0
    scene.view_settings.view_transform = "Standard"
    cycles.device, cycles.use_light_tree = "CPU", True
    set_quality(config.quality)


def set_quality(quality: Quality) -> None:
    """Set how much work goes into a view."""
    cycles = bpy.context.scene.cycles
    cycles.samples, cycles.max_bounces = quality.samples, quality.max_bounces
    cycles.use_adaptive_sampling = quality.noise_threshold > 0
    cycles.adaptive_threshold = quality.noise_threshold
    cycles.use_denoising, cycles.denoiser = quality.denoise != "off", "OPENIMAGEDENOISE"
    cycles.denoising_quality = "HIGH" if quality.denoise == "high" else "FAST"
    cycles.denoising_prefilter, cycles.denoising_input_passes = "NONE", "RGB_ALBEDO"


def shoot(camera: Camera, ready: Ready) -> Rgba:
    """Render one view. Colour under zero alpha, into which the denoiser bleeds, is set to black."""
    scene = bpy.context.scene
    if scene.get(LOADED) != ready.ticket:
        raise RuntimeError("another object was loaded before all views of this one were taken; take them all first")
    side = scene.render.resolution_x
    image: Rgba = np.zeros((side, side, 4), dtype=np.uint8)
    part = window(camera, ready.outline, side)
    if part is not None:
        scene.camera.matrix_world = Matrix(camera.world_from_camera.tolist())
        scene.camera.data.angle = math.radians(camera.fov_deg)
        look_through(part, side)
        bpy.ops.render.render(write_still=True)
        image[part.top : part.bottom, part.left : part.right] = decode_png(ready.picture.read_bytes())
        image[image[..., 3] == 0] = 0
    return image


def look_through(part: Window, side: int) -> None:
    """Render this part of the picture alone; Blender counts from the bottom and cuts fractions of a pixel off."""
    render = bpy.context.scene.render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x, render.border_max_x = (part.left + 0.25) / side, (part.right + 0.25) / side
    render.border_min_y, render.border_max_y = (side - part.bottom + 0.25) / side, (side - part.top + 0.25) / side


def number(*names: str | int) -> int:
    """A number in [0, 2^31) that depends on `names` only."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
