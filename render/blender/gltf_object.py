"""Loads a glTF object as it is meant to be seen: in which pose, from which sides."""

from pathlib import Path

import bpy

from render.blender.gltf_import import SEE_THROUGH, import_gltf
from render.blender.pose import has_collapsed
from render.blender.sidedness import cull_back_faces
from render.errors import Unrenderable

POSE = "pose"
"""Property of the scene: what poses the object, a `render.report.Pose`."""


def load_gltf(path: Path) -> None:
    """Add the content of a GLB or glTF file to Blender's empty scene.

    It stands as its first animation begins, or, where most of it is then at scale 0, as its nodes say.

    Raises Unrenderable with the reason, RuntimeError with the importer's.
    """
    import_gltf(path, animated=True)
    bpy.context.scene.frame_set(0)
    bpy.context.scene[POSE] = "first frame" if bpy.data.actions else "as stored"
    if bpy.data.actions and has_collapsed():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        import_gltf(path, animated=False)
        bpy.context.scene[POSE] = "rest"
        if has_collapsed():
            raise Unrenderable(
                "its animation begins at scale 0, and so does its rest pose; give its nodes another scale in the file"
            )
    cull_back_faces(SEE_THROUGH)
