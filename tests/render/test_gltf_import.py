"""What of a glTF file is seen: each extension and each feature that the importer leaves out or takes wrongly."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from render.config import RenderConfig
from render.device import Machine
from render.errors import Unrenderable
from render.placement import normalize_bounds
from render.report import ObjectReport
from tests.render.gltf_files import BLUE, GREEN, RED, Gltf, box, square
from tests.render.toys import OBJECTS, camera, toy_config

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

FAULTS = OBJECTS.parent / "faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason=f"no files at {FAULTS}")
NAN = float("nan")


def inspect(gltf: Gltf, folder: Path) -> ObjectReport:
    report: ObjectReport = objects.inspect(gltf.write(folder / "object.gltf"))
    return report


def middle(gltf: Gltf, folder: Path, azimuth_deg: float = 270, config: RenderConfig | None = None) -> list[int]:
    """Colour and alpha in the middle of the view from glTF's +z."""
    path = gltf.write(folder / "object.gltf")
    report = objects.inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    shot = shots.render_views(
        path, placement, [camera(azimuth_deg)], config or toy_config(), uid="object", seed=0, machine=Machine(1)
    )
    return [int(value) for value in next(shot).rgba[32, 32]]


def is_colour(pixel: list[int], colour: tuple[float, ...]) -> bool:
    """Whether an opaque pixel has the hue of RED, GREEN or BLUE."""
    return pixel[3] == 255 and int(np.argmax(pixel[:3])) == int(np.argmax(colour)) and min(pixel[:3]) < 90


def sizes(report: ObjectReport) -> list[float]:
    """Of the bounding box along glTF's x, y and z."""
    x, y, z = np.subtract(report.maximum, report.minimum).round(4)
    return [float(x), float(z), float(y)]


def two_boxes(**fields: Any) -> Gltf:
    """A blue cube of side 1 at the origin, and a red one 5 beside it whose node has `fields`."""
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(BLUE)))
    gltf.node(gltf.mesh(box(1, at=(5, 0, 0)), gltf.material(RED)), **fields)
    return gltf


@pytest.mark.parametrize("required", [False, True])
def test_hidden_node_is_neither_rendered_nor_measured(tmp_path: Path, required: bool) -> None:
    gltf = two_boxes(extensions={"KHR_node_visibility": {"visible": False}})
    gltf.use("KHR_node_visibility", required=required)
    report = inspect(gltf, tmp_path)
    assert (sizes(report), report.num_meshes, report.num_faces) == ([1, 1, 1], 1, 12)
    assert is_colour(middle(gltf, tmp_path), BLUE)


def test_hidden_node_hides_what_hangs_on_it_and_a_shown_one_nothing(tmp_path: Path) -> None:
    gltf = two_boxes(extensions={"KHR_node_visibility": {"visible": True}})
    assert sizes(inspect(gltf, tmp_path)) == [6, 1, 1]
    child = gltf.node(1, in_scene=False)
    gltf.document["nodes"][1] = {"children": [child], "extensions": {"KHR_node_visibility": {"visible": False}}}
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1]


def test_nodes_outside_of_the_default_scene_are_left_out(tmp_path: Path) -> None:
    gltf = two_boxes()
    gltf.document["scenes"] = [{"nodes": [1]}, {"nodes": [0]}]
    for default, centre in ((0, 5), (1, 0), (None, 5)):
        gltf.document["scene"] = default
        if default is None:
            del gltf.document["scene"]
        report = inspect(gltf, tmp_path)
        assert (report.minimum[0] + report.maximum[0]) / 2 == pytest.approx(centre)
    gltf.document["scenes"] = [{"nodes": [0]}]
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1], "a node of no scene"


def test_file_without_scenes_shows_all_its_nodes(tmp_path: Path) -> None:
    gltf = two_boxes()
    del gltf.document["scenes"], gltf.document["scene"]
    assert sizes(inspect(gltf, tmp_path)) == [6, 1, 1]


def test_lower_levels_of_detail_are_left_out(tmp_path: Path) -> None:
    gltf = two_boxes()
    gltf.document["nodes"][0]["extensions"] = {"MSFT_lod": {"ids": [1]}}
    gltf.use("MSFT_lod", required=True)
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 1]


def test_lights_and_cameras_of_the_file_change_nothing_but_carry_their_children(tmp_path: Path) -> None:
    gltf = two_boxes()
    plain = middle(gltf, tmp_path)
    gltf.use("KHR_lights_punctual")
    gltf.document["extensions"] = {"KHR_lights_punctual": {"lights": [{"type": "directional", "intensity": 9e4}]}}
    gltf.document["cameras"] = [{"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}}]
    lamp: dict[str, Any] = {
        "extensions": {"KHR_lights_punctual": {"light": 0}},
        "camera": 0,
        "children": [1],
        "scale": [2, 2, 2],
    }
    gltf.document["scenes"][0]["nodes"] = [0, gltf.node(in_scene=False, **lamp)]
    assert sizes(inspect(gltf, tmp_path)) == [11.5, 2, 2]
    assert np.abs(np.subtract(middle(gltf, tmp_path), plain)).max() < 20


def test_instances_of_a_mesh_are_counted_and_seen(tmp_path: Path) -> None:
    gltf = Gltf()
    places = gltf.accessor(np.array([[0.0, 0, 0], [4, 0, 0], [8, 0, 0]]))
    instancing = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": places}}}
    gltf.node(gltf.mesh(box(1), gltf.material(RED)), extensions=instancing)
    gltf.use("EXT_mesh_gpu_instancing", required=True)
    report = inspect(gltf, tmp_path)
    assert (sizes(report), report.num_faces) == ([9, 1, 1], 36)


def test_quantised_positions_are_those_of_their_node(tmp_path: Path) -> None:
    gltf = Gltf()
    mesh = gltf.mesh(box(1), gltf.material(RED))
    gltf.primitive()["attributes"]["POSITION"] = gltf.accessor(
        (box(1).vertices * 2 * 32767).astype(np.int16), normalized=True
    )
    gltf.node(mesh, scale=[3, 1, 2])
    gltf.use("KHR_mesh_quantization", required=True)
    assert sizes(inspect(gltf, tmp_path)) == [6, 2, 4]


@pytest.mark.parametrize("name", ["KHR_texture_basisu", "EXT_meshopt_compression", "ACME_holograms"])
def test_required_extension_that_nobody_knows_is_named(tmp_path: Path, name: str) -> None:
    gltf = two_boxes()
    gltf.use(name, required=True)
    with pytest.raises(Unrenderable, match=f"needs the extension {name}, which Blender's importer does not know"):
        inspect(gltf, tmp_path)
    del gltf.document["extensionsRequired"]
    assert sizes(inspect(gltf, tmp_path)) == [6, 1, 1], "used, but not required"


def test_required_extension_that_is_not_declared_is_said(tmp_path: Path) -> None:
    gltf = two_boxes()
    gltf.document["extensionsRequired"] = ["KHR_mesh_quantization"]
    gltf.document["extensionsUsed"] = ["KHR_materials_unlit"]
    with pytest.raises(Unrenderable, match="Extension required must be in Extension Used"):
        inspect(gltf, tmp_path)


# Materials


def textured(kind: str, content: bytes, **texture: Any) -> Gltf:
    """A square with a picture on it, as colour."""
    gltf = Gltf()
    image = gltf.image(content, kind)
    number = gltf.add("textures", {key: image if value == "IMAGE" else value for key, value in texture.items()})
    surface = {"baseColorTexture": {"index": number}, "metallicFactor": 0.0, "roughnessFactor": 1.0}
    material = gltf.add("materials", {"pbrMetallicRoughness": surface})
    gltf.node(gltf.mesh(square(), material, TEXCOORD_0=gltf.accessor(square().vertices[:, :2] + 0.5)))
    return gltf


def picture(kind: str, colours: Any = RED) -> bytes:
    """A small picture of one colour, or of the colours (H, W, 3 or 4)."""
    content = io.BytesIO()
    pixels = np.asarray(colours) * np.ones((8, 8, 1)) if np.ndim(colours) == 1 else np.asarray(colours)
    Image.fromarray((pixels * 255).astype(np.uint8)).save(content, format=kind)
    return content.getvalue()


def nested(name: str) -> dict[str, Any]:
    return {name: {"source": "IMAGE"}}


@pytest.mark.parametrize(
    ("kind", "extension"),
    [
        ("png", None),
        ("webp", "EXT_texture_webp"),
        pytest.param(
            "avif",
            "EXT_texture_avif",
            marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF"),
        ),
    ],
)
def test_picture_of_each_kind_is_seen(tmp_path: Path, kind: str, extension: str | None) -> None:
    gltf = textured(f"image/{kind}", picture(kind), source="IMAGE")
    if extension:
        gltf.document["textures"] = [{"extensions": {extension: {"source": 0}}}]
        gltf.use(extension, required=True)
    assert inspect(gltf, tmp_path).missing_textures == ()
    assert is_colour(middle(gltf, tmp_path), RED)


@pytest.mark.parametrize("texture", [{}, {"extensions": {"KHR_texture_basisu": {"source": 0}}}])
def test_texture_without_a_picture_that_can_be_read_is_missing(tmp_path: Path, texture: dict[str, Any]) -> None:
    gltf = textured("image/ktx2", b"\xabKTX 20\xbb", **texture)
    assert inspect(gltf, tmp_path).missing_textures == ("BASE COLOR",)


def test_texture_whose_name_is_longer_than_names_can_be_is_missing(tmp_path: Path) -> None:
    gltf = textured("image/png", picture("png"), source="IMAGE")
    gltf.document["images"] = [{"uri": "n" * 300}]
    assert inspect(gltf, tmp_path).missing_textures == ("n" * 300,)


def test_texture_transform_moves_the_picture(tmp_path: Path) -> None:
    halves = np.zeros((8, 8, 3))
    halves[:, :4], halves[:, 4:] = RED, BLUE
    gltf = textured("image/png", picture("png", halves), source="IMAGE")
    texture = gltf.document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    for offset, colour in ((0.0, RED), (0.5, BLUE)):
        texture["extensions"] = {"KHR_texture_transform": {"offset": [offset, 0], "scale": [0.4, 1]}}
        assert is_colour(middle(gltf, tmp_path), colour)


@pytest.mark.parametrize(
    ("mode", "alpha", "cutoff", "shown"),
    [
        ("OPAQUE", 0.2, None, 255),
        ("MASK", 0.4, None, 0),
        ("MASK", 0.6, None, 255),
        ("MASK", 0.6, 0.7, 0),
        ("BLEND", 0.4, None, 102),
        ("MASK", 0.2, 0.0, 255),
    ],
)
@pytest.mark.parametrize("kind", ["factor", "texture"])
def test_alpha_is_taken_as_its_mode_says(
    tmp_path: Path, mode: str, alpha: float, cutoff: float | None, shown: int, kind: str
) -> None:
    gltf = textured("image/png", picture("png", (1, 0, 0, alpha)), source="IMAGE")
    if kind == "factor":
        gltf.document["materials"][0]["pbrMetallicRoughness"] = {"baseColorFactor": [1, 0, 0, alpha]}
    gltf.document["materials"][0] |= {"alphaMode": mode} | ({} if cutoff is None else {"alphaCutoff": cutoff})
    assert middle(gltf, tmp_path, config=toy_config(samples=64))[3] == pytest.approx(shown, abs=12)


def test_unlit_colour_is_shown_as_it_is(tmp_path: Path) -> None:
    gltf = Gltf()
    material = gltf.material((0.5, 0.0, 0.0), extensions={"KHR_materials_unlit": {}})
    gltf.node(gltf.mesh(box(1), material))
    gltf.use("KHR_materials_unlit")
    dark = toy_config(light={"sky": 0.0, "ground": 0.0, "suns": "none", "sun": 0.0})
    assert middle(gltf, tmp_path, config=dark) == [188, 0, 0, 255]


def test_colours_of_vertices_are_seen_with_and_without_a_material(tmp_path: Path) -> None:
    for material in (None, 0):
        gltf = Gltf()
        gltf.material((1.0, 1.0, 1.0))
        colours = gltf.accessor(np.tile(np.array([*GREEN, 1.0], dtype=np.float32), (8, 1)))
        gltf.node(gltf.mesh(box(1), material, COLOR_0=colours))
        assert is_colour(middle(gltf, tmp_path), GREEN)


def test_specular_glossiness_and_the_default_variant_are_seen(tmp_path: Path) -> None:
    gltf = Gltf()
    glossy = gltf.add(
        "materials",
        {
            "extensions": {
                "KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [*GREEN, 1], "specularFactor": [0, 0, 0]}
            }
        },
    )
    other = gltf.material(RED)
    gltf.node(gltf.mesh(box(1), glossy))
    gltf.primitive()["extensions"] = {"KHR_materials_variants": {"mappings": [{"material": other, "variants": [0]}]}}
    gltf.document["extensions"] = {"KHR_materials_variants": {"variants": [{"name": "red"}]}}
    gltf.use("KHR_materials_pbrSpecularGlossiness", "KHR_materials_variants")
    assert is_colour(middle(gltf, tmp_path), GREEN)


def test_glass_absorbs_alike_whatever_the_files_units(tmp_path: Path) -> None:
    seen = []
    for size in (0.01, 1.0, 100.0):
        gltf = Gltf()
        volume = {"thicknessFactor": size, "attenuationDistance": size / 2, "attenuationColor": [1, 0.2, 0.2]}
        glass = {"KHR_materials_transmission": {"transmissionFactor": 1}, "KHR_materials_volume": volume}
        material = gltf.material((1.0, 1.0, 1.0), extensions=glass | {"KHR_materials_ior": {"ior": 1.0}})
        gltf.document["materials"][0]["pbrMetallicRoughness"]["roughnessFactor"] = 0.0
        gltf.node(gltf.mesh(box(size), material))
        gltf.use("KHR_materials_transmission", "KHR_materials_volume", "KHR_materials_ior")
        seen.append(middle(gltf, tmp_path, config=toy_config(max_bounces=8, samples=16)))
    assert seen[0][0] > seen[0][1] + 80
    np.testing.assert_allclose(seen, [seen[1]] * 3, atol=3)


# Values that are not finite


def spoilt(gltf: Gltf, accessor: int, value: float, place: int = 0) -> Gltf:
    """The document with one float of an accessor replaced."""
    view = gltf.document["bufferViews"][gltf.document["accessors"][accessor]["bufferView"]]
    start = view["byteOffset"] + 4 * place
    gltf.content = gltf.content[:start] + struct.pack("<f", value) + gltf.content[start + 4 :]
    return gltf


@pytest.mark.parametrize("value", [NAN, float("inf"), -float("inf")])
def test_one_position_that_is_not_finite_is_found(tmp_path: Path, value: float) -> None:
    gltf = two_boxes()
    positions = gltf.primitive(1)["attributes"]["POSITION"]
    with pytest.raises(Unrenderable, match="vertices are not finite"):
        inspect(spoilt(gltf, positions, value, place=7), tmp_path)


def test_position_that_is_not_finite_does_no_harm_where_no_face_uses_it(tmp_path: Path) -> None:
    gltf = two_boxes()
    shape = box(1)
    loose = np.vstack([shape.vertices, [[NAN, 0, 0]]])
    gltf.primitive(0)["attributes"]["POSITION"] = gltf.accessor(loose)
    assert sizes(inspect(gltf, tmp_path)) == [6, 1, 1]


@pytest.mark.parametrize("base", [True, False])
def test_sparse_position_that_is_not_finite_is_found(tmp_path: Path, base: bool) -> None:
    for value, is_good in ((1.0, True), (NAN, False)):
        gltf = Gltf()
        gltf.node(gltf.mesh(box(1), gltf.material()))
        accessor = gltf.document["accessors"][gltf.primitive()["attributes"]["POSITION"]]
        places = {"bufferView": gltf.view(struct.pack("<H", 3)), "componentType": 5123}
        accessor["sparse"] = {
            "count": 1,
            "indices": places,
            "values": {"bufferView": gltf.view(struct.pack("<3f", 1, 1, value))},
        }
        if not base:
            del accessor["bufferView"]
        if is_good:
            inspect(gltf, tmp_path)
            continue
        with pytest.raises(Unrenderable, match="vertices are not finite"):
            inspect(gltf, tmp_path)


def test_morph_target_that_is_not_finite_is_found(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material()))
    target = np.zeros((8, 3), dtype=np.float32)
    target[2, 1] = NAN
    gltf.primitive()["targets"] = [{"POSITION": gltf.accessor(target)}]
    with pytest.raises(Unrenderable, match="vertices are not finite"):
        inspect(gltf, tmp_path)


@pytest.mark.parametrize("name", ["NORMAL", "TEXCOORD_0", "COLOR_0"])
def test_value_that_is_not_finite_elsewhere_costs_no_pixel(tmp_path: Path, name: str) -> None:
    gltf = textured("image/png", picture("png"), source="IMAGE")
    values = {"NORMAL": [[0.0, 0, 1]] * 4, "TEXCOORD_0": [[0.5, 0.5]] * 4, "COLOR_0": [[1.0, 1, 1, 1]] * 4}[name]
    gltf.primitive()["attributes"][name] = gltf.accessor(np.array(values))
    expected = middle(gltf, tmp_path)
    spoilt(gltf, gltf.primitive()["attributes"][name], NAN)
    spoilt(gltf, gltf.primitive()["attributes"][name], float("inf"), place=4)
    assert inspect(gltf, tmp_path).num_faces == 2
    np.testing.assert_allclose(middle(gltf, tmp_path), expected, atol=12)


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16"])
def test_json_is_read_in_every_code(tmp_path: Path, code: str) -> None:
    path = two_boxes().write(tmp_path / "object.gltf")
    path.write_bytes(path.read_text().encode(code))
    assert sizes(objects.inspect(path)) == [6, 1, 1]


def test_json_of_a_glb_that_ends_in_nuls_is_read(tmp_path: Path) -> None:
    text = two_boxes().write(tmp_path / "object.gltf").read_bytes() + bytes(4)
    text += bytes(-len(text) % 4)
    glb = struct.pack("<4sII", b"glTF", 2, 20 + len(text)) + struct.pack("<I4s", len(text), b"JSON") + text
    (tmp_path / "object.glb").write_bytes(glb)
    assert sizes(objects.inspect(tmp_path / "object.glb")) == [6, 1, 1]


def test_json_number_that_is_not_finite_is_left_out(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    gltf.document["materials"][0]["pbrMetallicRoughness"]["roughnessFactor"] = NAN
    gltf.document["accessors"][0] |= {"min": [NAN] * 3, "max": [float("inf")] * 3}
    assert is_colour(middle(gltf, tmp_path), RED)
    gltf.document["nodes"][0]["translation"] = [NAN, 0, 0]
    with pytest.raises(Unrenderable, match="the transform of node 0"):
        inspect(gltf, tmp_path)


@pytest.mark.parametrize(("mode", "is_seen"), [("BLEND", False), ("MASK", False), ("OPAQUE", True)])
def test_part_that_is_clear_is_neither_rendered_nor_measured(tmp_path: Path, mode: str, is_seen: bool) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    gltf.node(gltf.mesh(box(1, at=(5, 0, 0)), gltf.material(BLUE, 0.0, alphaMode=mode)))
    assert sizes(inspect(gltf, tmp_path)) == [6 if is_seen else 1, 1, 1]


@pytest.mark.parametrize(
    "transform",
    [
        {"translation": [0, 1e39, 0]},
        {"scale": [1, -1e39, 1]},
        {"matrix": [1e60, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]},
    ],
)
def test_node_that_stands_nowhere_is_named(tmp_path: Path, transform: dict[str, Any]) -> None:
    gltf = two_boxes(name="far", **transform)
    with pytest.raises(Unrenderable, match=r"the transform of node 1 \('far'\) is not finite"):
        inspect(gltf, tmp_path)


def test_damaged_draco_mesh_is_turned_away(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(box(1), gltf.material(RED)))
    for accessor in gltf.document["accessors"]:
        del accessor["bufferView"]
    packed = {"bufferView": gltf.view(b"DRACO but not really"), "attributes": {"POSITION": 0}}
    gltf.primitive()["extensions"] = {"KHR_draco_mesh_compression": packed}
    gltf.use("KHR_draco_mesh_compression", required=True)
    with pytest.raises(Unrenderable, match="compressed with Draco and cannot be decoded"):
        inspect(gltf, tmp_path)


# Poses


def animated(first: list[float], path: str = "scale", rest: list[float] | None = None) -> Gltf:
    """A box whose animation begins with the value `first`."""
    gltf = Gltf()
    fields: dict[str, Any] = {} if rest is None else {path: rest}
    gltf.node(gltf.mesh(box(1, 2, 3), gltf.material(RED)), **fields)
    times, values = gltf.accessor(np.array([0.0, 1.0])), gltf.accessor(np.array([first, [1.0] * len(first)]))
    channel = {"sampler": 0, "target": {"node": 0, "path": path}}
    gltf.add("animations", {"samplers": [{"input": times, "output": values}], "channels": [channel]})
    return gltf


def test_animated_object_stands_as_its_first_animation_begins(tmp_path: Path) -> None:
    report = inspect(animated([2.0, 1.0, 1.0]), tmp_path)
    assert (sizes(report), report.pose) == ([2, 2, 3], "first frame")


@pytest.mark.parametrize("first", [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1e-12, 1.0, 1.0]])
def test_animation_that_begins_at_scale_0_leaves_the_object_at_rest(tmp_path: Path, first: list[float]) -> None:
    gltf = animated(first, rest=[1.0, 1.0, 2.0])
    report = inspect(gltf, tmp_path)
    assert (sizes(report), report.pose) == ([1, 2, 6], "rest")
    assert is_colour(middle(gltf, tmp_path), RED)


def test_animation_and_rest_at_scale_0_are_turned_away_with_the_cause(tmp_path: Path) -> None:
    with pytest.raises(Unrenderable, match="its animation begins at scale 0, and so does its rest pose"):
        inspect(animated([0.0, 0.0, 0.0], rest=[0.0, 0.0, 0.0]), tmp_path)


@pytest.mark.parametrize("scale", [[0, 0, 0], [1, 0, 1], [0, 0, 1], [1e-9, 1, 1]])
@pytest.mark.parametrize("turn", [None, [0.5, -0.1, 0.7, 0.5]])
def test_object_at_scale_0_is_turned_away_with_the_cause(
    tmp_path: Path, scale: list[float], turn: list[float] | None
) -> None:
    turned: dict[str, Any] = {} if turn is None else {"rotation": turn}
    gltf = Gltf()
    inner = gltf.node(gltf.mesh(box(1, 2, 3), gltf.material(RED)), in_scene=False, **turned)
    gltf.node(scale=scale, children=[inner], **turned)
    with pytest.raises(Unrenderable, match="its nodes are at scale 0 along an axis: give them another scale"):
        inspect(gltf, tmp_path)


def test_sheet_that_is_flat_along_the_axis_of_scale_0_is_seen(tmp_path: Path) -> None:
    gltf = Gltf()
    gltf.node(gltf.mesh(square(), gltf.material(RED)), scale=[1, 1, 0])
    assert sizes(inspect(gltf, tmp_path)) == [1, 1, 0]
    assert is_colour(middle(gltf, tmp_path), RED)


def test_small_part_at_scale_0_stays_away(tmp_path: Path) -> None:
    gltf = animated([0.0, 0.0, 0.0])
    for _ in range(2):
        gltf.node(gltf.mesh(box(1), gltf.material(BLUE)))
    report = inspect(gltf, tmp_path)
    assert (sizes(report), report.pose) == ([1, 1, 1], "first frame")


@needs_faults
def test_files_that_fail_are_taken_rightly() -> None:
    hidden = objects.inspect(FAULTS / "hidden_node" / "hidden_node.glb")
    assert sizes(hidden) == [1, 1, 1]
    assert objects.inspect(FAULTS / "other" / "pops_up_from_zero.glb").pose == "rest"
    with pytest.raises(Unrenderable, match="not finite"):
        objects.inspect(FAULTS / "not_finite" / "SparseNaN.gltf")
