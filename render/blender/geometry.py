"""Depth and normals of what the camera sees, by one ray through the middle of each pixel."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from render.blender.files import report_full_disk
from render.passes import Floats

DEPTH, NORMAL = "Depth", "Normal"
"""Blender's names of the passes."""
NOWHERE = 1e9
"""Depths beyond it mean no surface: Blender writes 1e10 where a ray meets nothing."""


def configure_geometry_passes(folder: Path) -> None:
    """Make every further render of this scene write its depth and its normals to files in `folder`.

    Lasts until the next load; colours rendered meanwhile are useless, as they get one sample. A surface hides what is
    behind it wholly, or, where its alpha is below one half, not at all.
    """
    scene = bpy.context.scene
    cycles, layer = scene.cycles, scene.view_layers[0]
    layer.use_pass_z = layer.use_pass_normal = scene.render.use_compositing = True
    cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = 1, False, False
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 0.01
    harden_alpha()
    write_passes(folder)


def harden_alpha() -> None:
    """Round the alpha of every material to 0 or 1: one ray would meet a veil only now and then."""
    for material in bpy.data.materials:
        tree = material.node_tree
        for node in list(tree.nodes) if tree else []:
            alpha = node.inputs.get("Alpha") if node.type == "BSDF_PRINCIPLED" else None
            if alpha is None:
                continue
            if not alpha.is_linked:
                alpha.default_value = round(alpha.default_value)
                continue
            rounding = tree.nodes.new("ShaderNodeMath")
            rounding.operation = "ROUND"
            tree.links.new(alpha.links[0].from_socket, rounding.inputs[0])
            tree.links.new(rounding.outputs[0], alpha)


def write_passes(folder: Path) -> None:
    """Add compositor nodes that write both passes to files in `folder` with every render."""
    scene = bpy.context.scene
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    rendered, files = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("CompositorNodeOutputFile")
    files.base_path = str(folder)
    files.format.file_format, files.format.color_depth, files.format.exr_codec = "OPEN_EXR", "32", "NONE"
    files.file_slots.clear()
    for name in (DEPTH, NORMAL):
        files.file_slots.new(name)
        tree.links.new(rendered.outputs[name], files.inputs[name])


def render_geometry_passes(folder: Path) -> tuple[Floats, Floats]:
    """Render depth (H, W) and normals (H, W, 3), after `configure_geometry_passes`; 0 where there is no surface.

    Raises OSError(ENOSPC) when the disk of `folder` is full.
    """
    scene = bpy.context.scene
    bpy.ops.render.render()
    files = [folder / f"{name}{scene.frame_current:04d}.exr" for name in (DEPTH, NORMAL)]
    with report_full_disk(files[1], 16 * scene.render.resolution_x**2):
        depth, normal = read_exr(files[0])[..., 0], read_exr(files[1])[..., :3]
        if not depth.all():
            raise ValueError(f"{files[0]} is cut off: no depth is zero")
    is_surface = (depth < NOWHERE) & normal.any(axis=-1)
    return np.where(is_surface, depth, 0), np.where(is_surface[..., None], normal, 0)


def read_exr(path: Path) -> Floats:
    """Return the pixels (H, W, C) of an OpenEXR file, rows from the top."""
    image: Any = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        width, height = image.size
        pixels: npt.NDArray[np.float32] = np.empty(width * height * image.channels, dtype=np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return pixels.reshape(height, width, -1)[::-1]
