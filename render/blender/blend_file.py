"""Imports the objects of a .blend file without running anything that is in it.

Its objects are appended, never opened as a file: scripts and handlers do not come along, and drivers that are more than
arithmetic are refused, as Blender's own switch for them (auto-run) is off in its factory settings.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

from render.errors import Unrenderable

CURVED = {"CURVE", "SURFACE", "FONT", "META", "CURVES"}
"""Kinds of objects that are seen and are no meshes."""


def import_blend(path: Path) -> None:
    """Add what one scene of a .blend file renders to the scene: the one with the most objects.

    Raises Unrenderable when the file cannot be read, has no scene, or is linked to another that is missing.
    """
    assert not bpy.context.preferences.filepaths.use_scripts_auto_execute
    try:
        with bpy.data.libraries.load(str(path), link=False) as (found, wanted):
            wanted.scenes = found.scenes
    except OSError as error:
        raise Unrenderable("the file is no .blend file that this Blender can read") from error
    scenes = [scene for scene in wanted.scenes if scene is not None]
    if not scenes:
        raise Unrenderable("the .blend file holds no scene")
    chosen = max(scenes, key=lambda scene: len(scene.objects))
    shown = set(shown_objects(chosen.view_layers[0].layer_collection))
    others = set(bpy.data.objects) - set(chosen.objects)
    for item in sorted(shown, key=lambda item: item.name):
        bpy.context.scene.collection.objects.link(item)
    for scene in scenes:
        bpy.data.scenes.remove(scene)
    for item in others - {None}:
        if item.users == 0:
            bpy.data.objects.remove(item)
    lost = [
        library.filepath for library in bpy.data.libraries if not Path(bpy.path.abspath(library.filepath)).is_file()
    ]
    if lost:
        raise Unrenderable(f"is linked to '{Path(lost[0]).name}', which is missing: append what it needs in Blender")
    mesh_curves()


def shown_objects(layer: Any) -> Iterator[Any]:
    """Yield the objects of a layer's collections that are rendered."""
    if layer.exclude or layer.collection.hide_render:
        return
    yield from (item for item in layer.collection.objects if not item.hide_render)
    for child in layer.children:
        yield from shown_objects(child)


def mesh_curves() -> None:
    """Replace curves, text and metaballs by the meshes that are seen."""
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    for item in [item for item in scene.objects if item.type in CURVED]:
        mesh = bpy.data.meshes.new_from_object(item.evaluated_get(graph))
        copy = bpy.data.objects.new(item.name, mesh)
        scene.collection.objects.link(copy)
        copy.matrix_world = item.matrix_world
        scene.collection.objects.unlink(item)
