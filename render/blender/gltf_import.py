"""Loads glTF files through Blender's importer and mends what it ignores although it changes what is seen.

The importer calls the methods of glTF2ImportUserExtension while it works; it finds the class by its name in the modules
of its preferences. What is decided for which extension stands in docs/rendering.md.
"""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import bpy
from io_scene_gltf2.io.imp.gltf2_io_binary import BinaryData
from PIL import Image

from render.blender.gltf_json import lenient_json
from render.blender.gltf_names import mend_names
from render.blender.gltf_nodes import mend_rotations, require_finite_transforms
from render.blender.gltf_values import (
    TRIANGLE_FAN,
    TRIANGLE_STRIP,
    TRIANGLES,
    has_twins,
    leave_out_incomplete_triangles,
    normalize_colours,
    replace_not_finite,
    require_finite_positions,
)
from render.errors import Unrenderable
from render.gltf import read_document
from render.gltf_limits import check_document
from render.gltf_scene import undeclared_extensions, unseen_nodes
from render.gltf_version import check_version

TRIANGLE_MODES = {None, TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN}
SEE_THROUGH = "see_through"
"""Property of a material that is not opaque."""
MENDED_EXTENSIONS = ("KHR_node_visibility", "MSFT_lod", "EXT_texture_avif")
"""Extensions that a file may require because this module brings them to the importer, which does not know them."""


@dataclass(frozen=True)
class Extension:
    """An extension of glTF that the importer shall accept, in the form that it asks for."""

    name: str
    required: bool = True


def import_gltf(path: Path, *, animated: bool) -> None:
    """Add the content of a GLB or glTF file to the scene.

    Bone shapes are left out: they are meshes of 2 units that would count as part of the object.

    Args:
        path: The file.
        animated: Whether the first animation poses the object; otherwise it stands as its nodes say.

    Raises Unrenderable with the reason, RuntimeError with the importer's.
    """
    check_before_import(path)
    hooks = glTF2ImportUserExtension
    hooks.problems, hooks.animated = [], animated
    bpy.context.preferences.addons.new().module = __name__
    with lenient_json():
        bpy.ops.import_scene.gltf(filepath=str(path), disable_bone_shape=True)
    for problem in hooks.problems:
        raise problem


def check_before_import(path: Path) -> None:
    """Raise Unrenderable for a file that the importer must not begin with; it says itself what is no JSON."""
    try:
        document = read_document(path)
    except ValueError:
        return
    check_version(document)
    check_document(path, document)


class glTF2ImportUserExtension:  # noqa: N801 (the importer looks for this name)
    """What Blender's importer calls: see "Import hooks" in the documentation of its add-on."""

    problems: ClassVar[list[Exception]] = []
    """What the hooks raised; the importer would log it and go on."""
    animated: ClassVar[bool] = True

    def __init__(self) -> None:
        self.extensions = [Extension(name) for name in MENDED_EXTENSIONS]

    def gather_import_gltf_before_hook(self, gltf: Any) -> None:
        """Leave out what is not seen, before anything is made."""
        with self._kept_problems():
            document = read_document(Path(gltf.filename))
            if undeclared := undeclared_extensions(document):
                raise Unrenderable(f"needs the extension {undeclared[0]}, which its list extensionsUsed does not have")
            remove_unseen(gltf, unseen_nodes(document))
            remove_clear(gltf)
            mend_names(gltf)
            require_finite_transforms(gltf.data.nodes or [])
            mend_rotations(gltf.data.nodes or [])
            mend_textures(gltf)
            mend_volumes(gltf.data.materials or [])
            if not self.animated:
                gltf.data.animations = []

    def gather_import_decode_primitive(self, _mesh: Any, primitive: Any, _skin: int | None, gltf: Any) -> None:
        """Check the values of a primitive, decoded as the importer will take them."""
        with self._kept_problems():
            if primitive.mode in TRIANGLE_MODES:
                leave_out_incomplete_triangles(gltf, primitive)
                require_finite_positions(gltf, primitive)
                replace_not_finite(gltf, primitive)
                normalize_colours(gltf, primitive)
                keep_both_sides(gltf, primitive)

    def gather_import_material_after_hook(self, material: Any, _colours: str | None, made: Any, _gltf: Any) -> None:
        """Note on the material that Blender made whether one sees through it."""
        with self._kept_problems():
            glass = (material.extensions or {}).get("KHR_materials_transmission", {}).get("transmissionFactor", 0)
            made[SEE_THROUGH] = material.alpha_mode in {"MASK", "BLEND"} or glass > 0

    @contextmanager
    def _kept_problems(self) -> Iterator[None]:
        try:
            yield
        except Exception as problem:  # noqa: BLE001 (raised again by import_gltf; the importer discards it)
            self.problems.append(problem)


def remove_unseen(gltf: Any, unseen: set[int]) -> None:
    """Take the meshes of `unseen` nodes, all lights and all cameras out of a document that is being imported."""
    if gltf.data.scenes and gltf.data.scene is None:
        gltf.data.scene = 0
    for index, node in enumerate(gltf.data.nodes or []):
        node.camera = None
        (node.extensions or {}).pop("KHR_lights_punctual", None)
        if index in unseen:
            node.mesh = node.skin = None


def remove_clear(gltf: Any) -> None:
    """Take out what has an alpha of 0, as programs hide helpers and boxes for collisions: it has no size to be seen."""
    clear = {index for index, material in enumerate(gltf.data.materials or []) if is_clear(material)}
    for mesh in gltf.data.meshes or []:
        mesh.primitives = [primitive for primitive in mesh.primitives if primitive.material not in clear]
    for node in gltf.data.nodes or []:
        if node.mesh is not None and not gltf.data.meshes[node.mesh].primitives:
            node.mesh = node.skin = None


def is_clear(material: Any) -> bool:
    """Tell whether a material that heeds alpha has one of 0 everywhere."""
    colour = material.pbr_metallic_roughness and material.pbr_metallic_roughness.base_color_factor
    heeds_alpha = material.alpha_mode == "BLEND" or (material.alpha_mode == "MASK" and material.alpha_cutoff != 0)
    return bool(heeds_alpha and colour and colour[3] == 0)


def mend_textures(gltf: Any) -> None:
    """Turn AVIF pictures into PNG, for textures that have no other."""
    for texture in gltf.data.textures or []:
        avif = (texture.extensions or {}).get("EXT_texture_avif", {}).get("source")
        if texture.source is None and avif is not None:
            texture.source = avif
            picture = gltf.data.images[avif]
            content = io.BytesIO()
            Image.open(io.BytesIO(BinaryData.get_image_data(gltf, avif))).save(content, format="PNG")
            picture.uri = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
            picture.buffer_view, picture.mime_type = None, "image/png"


def mend_volumes(materials: list[Any]) -> None:
    """Take distances of 0 out of glass, which mean clear glass to the programs that write them and end the importer."""
    for material in materials:
        volume = (material.extensions or {}).get("KHR_materials_volume", {})
        if volume.get("attenuationDistance") == 0:
            del volume["attenuationDistance"]


def keep_both_sides(gltf: Any, primitive: Any) -> None:
    """Make a material double-sided whose triangles come in pairs of the same corners; Blender drops one of a pair."""
    if primitive.material is None or not has_twins(gltf, primitive):
        return
    material = gltf.data.materials[primitive.material]
    material.double_sided = True
    for name in material.blender_material.values():
        bpy.data.materials[name].use_backface_culling = False
