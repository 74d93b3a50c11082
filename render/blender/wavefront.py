"""Imports OBJ files and completes what Blender's importer leaves out of their materials.

Decisions: docs/rendering.md. Colours of vertices stand in for a material's colour where no texture does; a mask cuts
out by its alpha or, where that is the same everywhere, by its grey; a colour texture cuts out by its alpha.
"""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from PIL import Image

from render.blender.image_limits import check_image_sizes
from render.blender.meshes import read_attribute
from render.errors import Unrenderable
from render.images import UNREADABLE
from render.obj.staging import staged

MISSING_LIBRARIES = "missing_libraries"
"""Property of the scene with the names of material libraries that were not found, one a line."""
OPAQUE = 250
"""Alpha, 0 to 255, from which a texture counts as solid: resampling leaves a little less than 255."""
WITH_ALPHA = (32, 64, 128)
"""Bits of a pixel of images that have alpha."""


def import_obj(path: Path) -> None:
    """Add the content of an OBJ file to the scene.

    Raises Unrenderable when the file is no OBJ file, a position is not finite, numbers are written with commas or no
    face has its vertices.
    """
    with staged(path) as file:
        bpy.ops.wm.obj_import(filepath=str(file.path))
    if file.has_faces and not any(len(mesh.polygons) for mesh in bpy.data.meshes):
        raise Unrenderable("no faces: those of the file name vertices that are not there, or not yet")
    check_image_sizes()
    bpy.context.scene[MISSING_LIBRARIES] = "\n".join(file.missing_libraries)
    show_vertex_colours()
    for material in bpy.data.materials:
        cut_out(material)


def missing_libraries() -> tuple[str, ...]:
    """Return the names of the material libraries that the loaded object lacks."""
    return tuple(bpy.context.scene.get(MISSING_LIBRARIES, "").splitlines())


def show_vertex_colours() -> None:
    """Let vertex colours be the base colour of every material that has no colour texture.

    Colours that are all white or all black say nothing and are left out; those up to 255 are divided by it.
    """
    coloured = {mesh: read_colours(mesh) for mesh in bpy.data.meshes if mesh.color_attributes and mesh.vertices}
    largest = max((values[:, :3].max(initial=0) for values in coloured.values()), default=0)
    for mesh, values in coloured.items() if largest > 1.5 else ():
        values[:, :3] = linear_from_srgb(srgb_from_linear(values[:, :3]) / 255)
        mesh.color_attributes[0].data.foreach_set("color", values.ravel())
    said = [mesh for mesh, values in coloured.items() if values[:, :3].min() < 1 and values[:, :3].max() > 0]
    for mesh in said:
        paint(mesh, is_shared=len(said) < len(bpy.data.meshes))


def read_colours(mesh: Any) -> npt.NDArray[np.float32]:
    """Return the linear vertex colours (N, 4) of a mesh."""
    return read_attribute(mesh.color_attributes[0].data, "color", np.float32, 4)


def srgb_from_linear(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return sRGB values; also beyond 1."""
    curve = 1.055 * np.maximum(values, 0) ** (1 / 2.4) - 0.055
    return np.where(values <= 0.0031308, 12.92 * values, curve).astype(np.float32)


def linear_from_srgb(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return linear values of sRGB ones."""
    curve = ((np.maximum(values, 0) + 0.055) / 1.055) ** 2.4
    return np.where(values <= 0.04045, values / 12.92, curve).astype(np.float32)


def paint(mesh: Any, *, is_shared: bool) -> None:
    """Give the materials of a mesh its vertex colours; copies of them where meshes without colours may use them too."""
    if not mesh.materials:
        mesh.materials.append(matt_material())
    for index, material in enumerate(mesh.materials):
        shader = principled(material)
        if shader is None or shader.inputs["Base Color"].is_linked:
            continue
        if is_shared:
            mesh.materials[index] = material = material.copy()
            shader = principled(material)
        colours = material.node_tree.nodes.new("ShaderNodeVertexColor")
        colours.layer_name = mesh.color_attributes[0].name
        material.node_tree.links.new(colours.outputs["Color"], shader.inputs["Base Color"])


def matt_material() -> Any:
    """Return a new material with the importer's values for a material about which a library says nothing."""
    material = bpy.data.materials.new("vertex colours")
    material.use_nodes = True
    shader = principled(material)
    shader.inputs["Roughness"].default_value, shader.inputs["Specular IOR Level"].default_value = 1.0, 0.0
    return material


def principled(material: Any) -> Any:
    """Return the node of a material that shades it, or None."""
    nodes = material.node_tree.nodes if material and material.node_tree else []
    return next((node for node in nodes if node.type == "BSDF_PRINCIPLED"), None)


def cut_out(material: Any) -> None:
    """Let the mask of a material, or the alpha of its colour texture where it has no mask, be its alpha."""
    shader = principled(material)
    if shader is None:
        return
    tree, alpha = material.node_tree, shader.inputs["Alpha"]
    colour, mask = texture_of(shader.inputs["Base Color"]), texture_of(alpha)
    if mask is not None:
        is_colour_too = colour is not None and colour.image == mask.image
        if not is_colour_too and not has_cut_outs(mask.image):
            mask.image.colorspace_settings.name = "Non-Color"
            tree.links.new(mask.outputs["Color"], alpha)
    elif colour is not None and has_cut_outs(colour.image):
        veil = tree.nodes.new("ShaderNodeMath")
        veil.operation, veil.inputs[1].default_value = "MULTIPLY", alpha.default_value
        tree.links.new(colour.outputs["Alpha"], veil.inputs[0])
        tree.links.new(veil.outputs[0], alpha)


def texture_of(socket: Any) -> Any:
    """Return the node of the image that a socket is linked to, or None."""
    nodes = [link.from_node for link in socket.links]
    return next((node for node in nodes if node.type == "TEX_IMAGE" and node.image), None)


def has_cut_outs(image: Any) -> bool:
    """Tell whether the alpha of an image differs from place to place and is not solid somewhere.

    An image that Pillow cannot read counts as solid; alpha that is 0 everywhere is a channel that nobody uses.
    """
    if image.depth not in WITH_ALPHA:
        return False
    try:
        with Image.open(bpy.path.abspath(image.filepath)) as picture:
            alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
    except UNREADABLE:
        return False
    return bool(alpha.min() < OPAQUE and alpha.min() < alpha.max())
