"""Loads a file into Blender's scene and reads what Blender made of it.

Blender holds one scene per process, and its factory reset works on the main thread only: each load starts from an empty
scene and refuses to run on another thread.
"""

import itertools
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from render.axes import UpAxis, correction
from render.blender.cut_images import is_cut_off
from render.blender.importers import assumed_up_axis, import_file
from render.blender.process_exit import skip_destructors_at_exit
from render.errors import Unrenderable, importer_reason
from render.formats import format_of
from render.gltf import file_names, read_document
from render.gltf_references import broken_reference
from render.lfs import REMEDY, is_lfs_pointer
from render.named_files import leads_to_file
from render.obj.lookup import named_file
from render.placement import Placement

skip_destructors_at_exit()
LOADED = "loaded"
"""Property of the scene that holds the number of its load."""
loads = itertools.count()


def load(path: Path, up_axis: UpAxis | None = None) -> int:
    """Empty Blender, import the file, turn it to Z up and return the number of this load.

    `up_axis` is the axis of the file that points up; None: the one that its format says.

    Raises Unrenderable when Blender cannot read the file, FileNotFoundError when there is none, RuntimeError off the
    main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Blender crashes when it is reset off the main thread; use a process, not a thread")
    if not path.is_file():
        raise FileNotFoundError(path)
    if is_lfs_pointer(path):
        raise Unrenderable(REMEDY)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    try:
        import_file(path)
    except RuntimeError as error:
        raise Unrenderable(refusal(path, str(error))) from error
    finally:
        for logger in ("glTFImporter", "glTFImporter_errors"):  # the importer leaves its handlers behind when it fails
            logging.getLogger(logger).handlers.clear()
    for item in bpy.data.objects:
        item.hide_render = item.type == "LIGHT"  # kept, not removed: the object's parts may hang on it
    if up_axis is not None:
        parent_all("up axis", correction(assumed_up_axis(path), up_axis))
    scene = bpy.context.scene
    scene.frame_set(0)
    scene[LOADED] = next(loads)
    return int(scene[LOADED])


def refusal(path: Path, said: str) -> str:
    """Return why the importer refused a file: what is wrong with a glTF file, else what the importer `said`."""
    files = [named_file(path, name) for name in file_names(path)]
    pointers = [file.name for file in files if leads_to_file(file) and is_lfs_pointer(file)]
    if pointers:
        return f"{pointers[0]} is {REMEDY}"
    reason = importer_reason(said.replace(str(path), path.name))
    if format_of(path).name == "glTF" and "refused the file" in reason:
        with suppress(ValueError):
            if fault := broken_reference(read_document(path)):
                return f"Blender's importer refused the file: {fault}; export it again"
        if "Traceback" in said and "MemoryError" not in said:
            return f"{reason}; it is damaged or no valid glTF: export it again"
    return reason


def used_materials() -> list[Any]:
    """Return every material that is assigned to a mesh, sorted by name."""
    used = {slot.material for item in bpy.data.objects if item.type == "MESH" for slot in item.material_slots}
    return sorted(used - {None}, key=lambda material: material.name)


def missing_textures(materials: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of images that `materials` use and that lack pixels: all, which Blender paints magenta, or some.

    A texture for which the file has no image that Blender reads is named by its use, such as BASE COLOR.
    """
    nodes = [node for material in materials if material.node_tree for node in material.node_tree.nodes]
    textures = [node for node in nodes if node.type == "TEX_IMAGE"]
    images = {node.image for node in textures} - {None}
    names = {missing_name(image) for image in images if min(image.size) == 0 or is_cut_off(image)}
    names |= {node.label or node.name for node in textures if node.image is None}
    return tuple(sorted(names))


def missing_name(image: Any) -> str:
    """Return the name of an image without pixels, and why it has none where that is known."""
    path = Path(image.filepath)
    is_pointer = leads_to_file(path) and is_lfs_pointer(path)
    return (path.name or image.name) + (f" ({REMEDY})" if is_pointer else "")


def move_object(placement: Placement) -> None:
    """Move everything that was imported by the placement's transform.

    Glass absorbs per length, which Blender does not scale along with objects.
    """
    parent_all("placement", placement.world_from_object)
    for material in bpy.data.materials:
        for node in material.node_tree.nodes if material.node_tree else ():
            if node.type == "VOLUME_ABSORPTION":
                node.inputs["Density"].default_value /= placement.scale


def parent_all(name: str, matrix: npt.NDArray[np.float64]) -> None:
    """Move everything in the scene by giving it one parent node with a 4x4 transform."""
    roots = [item for item in bpy.data.objects if item.parent is None]
    frame = add_object(name, None, matrix)
    for item in roots:
        item.parent = frame


def add_object(name: str, data: Any, matrix: npt.NDArray[np.float64]) -> Any:
    """Put a new Blender object into the scene at a 4x4 pose and return it."""
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    item.matrix_world = Matrix(matrix.tolist())
    return item
