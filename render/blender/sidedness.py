"""Makes the back faces of single-sided materials invisible, which Cycles by itself shows.

Light and shadow stay as they are for faces that look outwards: only rays from the camera pass through their backs. A
part that lines a space (an inverted hull around a toon figure, a sky dome, a room) is there for the camera alone, from
its front: light from outside meets its back and passes, so it must not shade what it surrounds. So is a part whose
faces are doubled, one looking out and one in: each would lie in the shadow of the other.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import bpy
import numpy as np

from render.blender.meshes import faces_of, read_attribute, vertices_of
from render.orientation import Orientation, orientation_of

FRONT_ONLY = "front_only"
"""Property of a material that says whether its back faces are hidden."""
LINING = "lining"
"""Property of a material that says whether it lines a space: its faces look inwards."""
DEFAULT_ALBEDO = 0.8
"""Of Cycles' surface for faces without a material."""


class Seen(StrEnum):
    """How the faces of a material are seen in one mesh."""

    AS_IT_IS = "as it is"
    FRONT = "front"
    FRONT_BY_CAMERA = "front by camera"


def cull_back_faces(see_through: str) -> None:
    """Hide the back faces of all materials with backface culling; faces without a material count as such.

    Args:
        see_through: Name of the property of materials that says whether one sees through them.
    """
    variants: dict[tuple[str, Seen], Any] = {}
    bare = default_material()
    for mesh in [mesh for mesh in bpy.data.meshes if len(mesh.polygons)]:
        fill_empty_slots(mesh, bare)
        for slot, how in list(single_sided_parts(mesh, see_through)):
            material = mesh.materials[slot]
            key = (material.name, how)
            if key not in variants:
                variants[key] = culled(material, how, see_through)
            mesh.materials[slot] = variants[key]


def fill_empty_slots(mesh: Any, bare: Any) -> None:
    """Give faces without a material the material `bare`."""
    if not mesh.materials:
        mesh.materials.append(None)
    for slot, material in enumerate(mesh.materials):
        if material is None:
            mesh.materials[slot] = bare


def default_material() -> Any:
    """Return a new material that looks as Cycles shows faces without one, single-sided as glTF's default is."""
    material = bpy.data.materials.new("no material")
    material.use_nodes = material.use_backface_culling = True
    tree = material.node_tree
    tree.nodes.clear()
    surface, output = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeOutputMaterial")
    surface.inputs["Color"].default_value = (*[DEFAULT_ALBEDO] * 3, 1)
    tree.links.new(surface.outputs["BSDF"], output.inputs["Surface"])
    return material


def single_sided_parts(mesh: Any, see_through: str) -> Iterator[tuple[int, Seen]]:
    """Yield each single-sided slot of a mesh and how its faces are seen, unless their backs are never in view."""
    single = [slot for slot, material in enumerate(mesh.materials) if material.use_backface_culling]
    if not single:
        return
    vertices, faces = vertices_of(mesh), faces_of(mesh)
    slots = read_attribute(mesh.loop_triangles, "material_index", np.int32, 1)[:, 0]
    if orientation_of(vertices, faces).looks_outwards and not any(item.get(see_through) for item in mesh.materials):
        return
    for slot in single:
        mine = faces[slots == slot]
        if len(mine):
            yield slot, how_seen(orientation_of(vertices, mine))


def how_seen(orientation: Orientation) -> Seen:
    """Return how the single-sided faces of one material are seen."""
    alone = orientation.looks_inwards or orientation.is_doubled
    return Seen.FRONT_BY_CAMERA if alone else Seen.FRONT


def culled(material: Any, how: Seen, see_through: str) -> Any:
    """Return a copy of a material whose back faces are transparent: to the camera, or, with the front, to light."""
    copy = material.copy()
    tree = copy.node_tree
    output = tree.get_output_node("CYCLES")
    geometry, path, either, transparent, mix = (
        tree.nodes.new(f"ShaderNode{kind}")
        for kind in ("NewGeometry", "LightPath", "Math", "BsdfTransparent", "MixShader")
    )
    is_back, is_camera = geometry.outputs["Backfacing"], path.outputs["Is Camera Ray"]
    tree.links.new(is_camera, either.inputs[0])
    tree.links.new(is_back, either.inputs[1])
    if how is Seen.FRONT:
        either.operation = "MULTIPLY"  # back and camera
        copy.use_transparent_shadow = bool(material.get(see_through))
        shown, hidden = mix.inputs[1], mix.inputs[2]
    else:
        either.operation = "GREATER_THAN"  # camera and not back
        shown, hidden = mix.inputs[2], mix.inputs[1]
    tree.links.new(either.outputs[0], mix.inputs["Fac"])
    tree.links.new(output.inputs["Surface"].links[0].from_socket, shown)
    tree.links.new(transparent.outputs["BSDF"], hidden)
    tree.links.new(mix.outputs["Shader"], output.inputs["Surface"])
    copy[FRONT_ONLY], copy[LINING] = True, how is Seen.FRONT_BY_CAMERA
    return copy
