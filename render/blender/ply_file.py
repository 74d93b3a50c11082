"""Imports PLY files and wires what Blender's importer leaves unwired: vertex colours and the texture."""

import tempfile
from pathlib import Path

import bpy

from render.blender.wavefront import matt_material, principled, show_vertex_colours
from render.errors import Unrenderable
from render.obj.lookup import last_part, named_file
from render.ply import BYTE_ORDERS, PlyHeader, read_ply_header, with_usual_colour_names
from render.ply_binary import check_binary
from render.ply_text import check_text


def import_ply(path: Path) -> None:
    """Add the mesh of a PLY file to the scene, in the colours of its texture or else of its vertices.

    Raises Unrenderable when it is a Gaussian splat, when it is damaged or when its texture cannot be laid onto it.
    """
    header = read_ply_header(path)
    check_content(path, header)
    if header.colours.startswith("face") and not header.textures:
        raise Unrenderable(
            "its colours belong to faces, which Blender does not read from PLY: convert it to GLB or OBJ"
        )
    import_mesh(path, header)
    if not header.textures:
        show_vertex_colours()
        return
    if len(header.textures) > 1:
        raise Unrenderable(
            f"names {len(header.textures)} textures, of which Blender reads one: convert it to GLB or OBJ"
        )
    for mesh in bpy.data.meshes:
        if not mesh.uv_layers:
            raise Unrenderable(
                "its texture coordinates belong to corners of faces, which Blender does not read from PLY: "
                "convert it to GLB or OBJ"
            )
        mesh.materials.append(textured_material(named_file(path, header.textures[0])))


def check_content(path: Path, header: PlyHeader) -> None:
    """Raise Unrenderable for a splat, and for what the importer would take for something else (render.ply_text)."""
    if header.is_splat and not header.num_faces:
        raise Unrenderable("no faces: a Gaussian splat, not a mesh; extract a mesh from it")
    if any(element.name == "vertex" and not element.has_positions for element in header.elements):
        raise Unrenderable("its vertices have no properties that are called x, y and z: name them so")
    if header.encoding in BYTE_ORDERS:
        check_binary(path, header)
    else:
        check_text(path, header)


def import_mesh(path: Path, header: PlyHeader) -> None:
    """Add the mesh to the scene, with its colours by whatever name."""
    with tempfile.TemporaryDirectory() as folder:
        file = path
        if header.colours not in ("", "vertex red"):
            file = Path(folder) / path.name
            file.write_bytes(with_usual_colour_names(path.read_bytes()))
        bpy.ops.wm.ply_import(filepath=str(file))


def textured_material(texture: Path) -> bpy.types.Material:
    """Return a matt material of the colours of an image, which may be missing."""
    material = matt_material()
    nodes = material.node_tree.nodes
    node = nodes.new("ShaderNodeTexImage")
    try:
        node.image = bpy.data.images.load(str(texture))
    except RuntimeError:
        node.label = last_part(texture.name)  # is reported as missing by this name
    material.node_tree.links.new(node.outputs["Color"], principled(material).inputs["Base Color"])
    return material
