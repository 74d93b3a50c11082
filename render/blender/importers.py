"""Brings a file of any format into Blender's empty scene, Z up. What becomes of which content: docs/rendering.md."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import bpy
import numpy as np

from render.axes import UpAxis
from render.blender.blend_file import import_blend
from render.blender.dae_file import import_dae
from render.blender.gltf_object import load_gltf
from render.blender.image_limits import check_image_sizes
from render.blender.meshes import vertices_of
from render.blender.ply_file import import_ply
from render.blender.usd_file import check_usd, stage_up_axis
from render.blender.wavefront import import_obj, paint
from render.errors import Unrenderable
from render.formats import IMAGE_SUFFIXES, format_of
from render.named_files import folded
from render.stl import check_stl, plain_text

FBX_UP_AXIS = re.compile(
    rb'UpAxisS\x03\x00\x00\x00intS\x07\x00\x00\x00IntegerS\x00\x00\x00\x00I(.)\x00\x00\x00|"UpAxis",[^\n]{0,99},\s*([012])\s',
    re.DOTALL,
)
"""The number of the up axis in the settings of an FBX file, binary or text."""
DAE_UP_AXIS = re.compile(rb"<up_axis>\s*([XYZ])_UP\s*</up_axis>")


def import_file(path: Path) -> None:
    """Add the content of a file to the scene, Z up.

    Raises Unrenderable with the reason, RuntimeError with the importer's.
    """
    readers: dict[str, Callable[[Path], None]] = {
        "glTF": load_gltf,
        "OBJ": import_obj,
        "PLY": import_ply,
        "STL": import_stl,
        "FBX": import_fbx,
        "USD": import_usd,
        "Collada": import_dae,
        "Blender": import_blend,
    }
    kind = format_of(path).name
    readers[kind](path)
    check_image_sizes()
    if kind in {"FBX", "Blender"}:
        find_lost_images(path.parent)


def find_lost_images(folder: Path) -> None:
    """Take images that are not where a file says, as after a move from another computer, from below its folder.

    They are found by name, whatever the case of its letters and the code of its accents.
    """
    lost = [image for image in bpy.data.images if image.source == "FILE" and min(image.size) == 0]
    if not lost:
        return
    beside = {
        folded(file.name): file
        for file in sorted(folder.rglob("*"), reverse=True)
        if file.suffix.lower() in IMAGE_SUFFIXES
    }
    for image in lost:
        file = beside.get(folded(PureWindowsPath(image.filepath).name))
        if file is not None:
            image.filepath = str(file)
            image.reload()


def import_stl(path: Path) -> None:
    """Add a mesh without colours to the scene.

    Raises Unrenderable when the file is damaged, and when a position is not finite, which Blender's own check would set
    to 0.
    """
    check_stl(path)
    with tempfile.TemporaryDirectory() as folder:
        file = path
        if (text := plain_text(path)) is not None:
            file = Path(folder) / path.name
            file.write_bytes(text)
        bpy.ops.wm.stl_import(filepath=str(file), use_mesh_validate=False)
    for mesh in bpy.data.meshes:
        if not np.isfinite(vertices_of(mesh)).all():
            raise Unrenderable("vertices are not finite")
        mesh.validate()


def import_fbx(path: Path) -> None:
    """Add the content of an FBX file, binary or text, to the scene."""
    bpy.ops.wm.fbx_import(filepath=str(path))


def import_usd(path: Path) -> None:
    """Add the visible content of a USD file to the scene; a mesh without material shows its display colour.

    Raises Unrenderable when a mesh in it is damaged, or a layer is missing.
    """
    check_usd(path)
    bpy.ops.wm.usd_import(
        filepath=str(path),
        set_frame_range=False,
        import_cameras=False,
        import_lights=False,
        create_world_material=False,
        validate_meshes=True,
    )
    for mesh in bpy.data.meshes:
        if mesh.color_attributes and not mesh.materials:
            paint(mesh, is_shared=False)


def assumed_up_axis(path: Path) -> UpAxis:
    """Return the axis of a file that its importer turns up."""
    kind = format_of(path)
    if kind.up_axis is not None:
        return kind.up_axis
    axes: tuple[UpAxis, ...] = ("X", "Y", "Z")
    if kind.name == "USD":
        return stage_up_axis(path)
    if kind.name == "FBX":
        found = FBX_UP_AXIS.search(path.read_bytes())
        return axes[int(found[2]) if found[2] else found[1][0]] if found else "Y"
    declared = DAE_UP_AXIS.search(path.read_bytes())
    return next((axis for axis in axes if declared and declared[1].decode() == axis), "Y")
