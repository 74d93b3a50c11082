"""A file in Blender's scene: loading it, and what Blender makes of it.

Blender holds one scene per process, and its factory reset works on the main thread only: each load starts from an empty
scene and refuses to run on another thread.
"""

import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix

from render.errors import Unrenderable, importer_reason
from render.placement import Placement

Vertices = npt.NDArray[np.float64]
Triangles = npt.NDArray[np.int32]

LOADED = "loaded"
"""Property of the scene that tells one load from another."""
loads = itertools.count()


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


def seen(vertices: Vertices, faces: Triangles) -> Vertices:
    """The vertices (N, 3) that a face uses; the others cannot be seen."""
    used = np.zeros(len(vertices), dtype=bool)
    used[faces.ravel()] = True
    return vertices[used]


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
