"""Formats besides glTF and OBJ: each is seen as its authors see it, or turned away with a reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from render.axes import UpAxis
from render.device import Machine
from render.errors import Unrenderable
from render.images import Rgba
from render.placement import normalize_bounds
from render.report import ObjectReport, check_usable
from tasks.config import CatalogConfig
from tasks.sources.folder import FolderSource
from tests.render.toys import camera, toy_config
from tests.tasks.hub import catalog_config

pytestmark = pytest.mark.blender
bpy = pytest.importorskip("bpy")
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

TEXTURED = (
    "tower.fbx",
    "tower_z.fbx",
    "tower.usda",
    "tower.usdc",
    "tower.usdz",
    "tower_y.usda",
    "tower.blend",
    "tower.dae",
)
PLAIN = ("tower.stl",)
SIZE = (1.0, 0.6, 4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tower, red by its texture and green by its vertices, in every format, with a camera and a light far away."""
    folder = tmp_path_factory.mktemp("formats")
    build_tower(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "tower.blend"))
    export = bpy.ops.export_scene.fbx
    export(filepath=str(folder / "tower.fbx"))
    export(filepath=str(folder / "tower_z.fbx"), axis_up="Z", axis_forward="Y")
    for name in ("tower.usda", "tower.usdc", "tower.usdz"):
        bpy.ops.wm.usd_export(filepath=str(folder / name))
    bpy.ops.wm.usd_export(
        filepath=str(folder / "tower_y.usda"),
        convert_orientation=True,
        export_global_forward_selection="NEGATIVE_Z",
        export_global_up_selection="Y",
    )
    (folder / "collada").mkdir()
    bpy.ops.wm.collada_export(filepath=str(folder / "collada" / "tower.dae"))
    (folder / "collada" / "tower.dae").rename(folder / "tower.dae")
    bpy.ops.wm.stl_export(filepath=str(folder / "tower.stl"))
    bpy.ops.wm.ply_export(filepath=str(folder / "tower.ply"), export_colors="SRGB")
    return folder


def build_tower(folder: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0, 0, 2))
    tower = bpy.context.object
    tower.scale = SIZE
    image = bpy.data.images.new("paint", 8, 8)
    image.pixels = [1, 0, 0, 1] * 64
    image.filepath_raw, image.file_format = str(folder / "paint.png"), "PNG"
    image.save()
    material = bpy.data.materials.new("paint")
    material.use_nodes = True
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = bpy.data.images.load(str(folder / "paint.png"))
    shader = material.node_tree.nodes["Principled BSDF"]
    material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    tower.data.materials.append(material)
    colours = tower.data.color_attributes.new("Col", "BYTE_COLOR", "POINT")
    for item in colours.data:
        item.color = (0, 1, 0, 1)
    bpy.ops.object.light_add(type="POINT", location=(0, 0, 90))
    bpy.ops.object.camera_add(location=(0, -90, 2))
    tower.select_set(True)


def measured(path: Path, up_axis: UpAxis | None = None) -> ObjectReport:
    report: ObjectReport = objects.inspect(path, up_axis)
    check_usable(report, max_faces=1000, missing_texture="reject", enclosed="keep")
    return report


def seen(path: Path) -> Rgba:
    report = measured(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    (view,) = shots.render_views(path, placement, [camera(0, 0)], toy_config(), uid="a", seed=0, machine=Machine(1))
    return np.asarray(view.rgba)


def sides(report: ObjectReport) -> tuple[float, ...]:
    return tuple(np.subtract(report.maximum, report.minimum).round(5))


@pytest.mark.parametrize("name", [*TEXTURED, *PLAIN, "tower.ply"])
def test_inspect_every_format_stands_upright_and_counts_meshes_only(folder: Path, name: str) -> None:
    report = measured(folder / name)
    assert sides(report) == pytest.approx(SIZE, abs=1e-4)
    assert report.num_faces == 12


@pytest.mark.parametrize("name", TEXTURED)
def test_render_views_textured_formats_show_their_texture_in_place_and_copied(
    folder: Path, name: str, tmp_path: Path
) -> None:
    image = seen(folder / name)
    assert (image[32, 32, 0], image[32, 32, 1]) > (200, -1)
    assert image[32, 32, 1:3].max() < 60, "red: not the green of the vertices"
    for file in folder.rglob("*"):
        if file.name == name or file.suffix == ".png":
            (tmp_path / "in" / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / file.relative_to(folder)).write_bytes(file.read_bytes())
    (folder / "paint.png").rename(folder / "away.png")
    try:
        source = FolderSource(folder_config(tmp_path / "in"), 0)
        [entry] = source.listing().entries
        copy = source.fetch(entry, tmp_path / "out")
        (tmp_path / "in").rename(tmp_path / "gone")
        np.testing.assert_array_equal(seen(copy), image)
    finally:
        (folder / "away.png").rename(folder / "paint.png")


def folder_config(folder: Path) -> CatalogConfig:
    return catalog_config(source="folder", folder=str(folder))


def test_render_views_ply_shows_the_colours_of_its_vertices(folder: Path) -> None:
    image = seen(folder / "tower.ply")
    assert image[32, 32, 1] > 200
    assert image[32, 32, [0, 2]].max() < 60


def test_render_views_stl_is_grey(folder: Path) -> None:
    middle = seen(folder / "tower.stl")[32, 32].astype(int)
    assert np.ptp(middle[:3]) <= 3
    assert middle[0] > 100


@pytest.mark.parametrize(
    ("name", "axis"),
    [("tower.fbx", "Y"), ("tower_z.fbx", "Z"), ("tower_y.usda", "Y"), ("tower.usdz", "Z"), ("tower.dae", "Z")],
)
def test_inspect_axis_that_a_file_declares_changes_nothing_and_another_turns_it(
    folder: Path, name: str, axis: UpAxis
) -> None:
    assert sides(measured(folder / name, axis)) == pytest.approx(SIZE, abs=1e-4)
    other: UpAxis = "Z" if axis == "Y" else "Y"
    assert sides(measured(folder / name, other)) == pytest.approx((1.0, 4.0, 0.6), abs=1e-4)


def test_inspect_dae_that_is_y_up_stands_upright(folder: Path, tmp_path: Path) -> None:
    text = (folder / "tower.dae").read_text()
    assert "Z_UP" in text
    (tmp_path / "y.dae").write_text(text.replace("Z_UP", "Y_UP").replace("<init_from>", "<init_from>../"))
    report: ObjectReport = objects.inspect(tmp_path / "y.dae")
    assert sides(report) == pytest.approx((1.0, 4.0, 0.6), abs=1e-4), "its Z lies along world -Y"


def test_inspect_text_fbx_axis_is_read(tmp_path: Path) -> None:
    from render.blender.importers import assumed_up_axis

    path = tmp_path / "a.fbx"
    path.write_text('GlobalSettings: {\n\tProperties70: {\n\t\tP: "UpAxis", "int", "Integer", "",2\n\t}\n}\n')
    assert assumed_up_axis(path) == "Z"


KINDS = ("ply", "stl", "fbx", "usd", "usda", "usdc", "usdz", "dae", "blend")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"neither this nor that\n" * 20], ids=["empty", "garbage"])
def test_inspect_broken_file_is_turned_away_in_one_sentence_without_its_folder(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    path = tmp_path / f"broken.{kind}"
    path.write_bytes(content)
    with pytest.raises(Unrenderable) as error:
        measured(path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


PLY = "ply\nformat ascii 1.0\n{}element vertex 3\nproperty float x\nproperty float y\nproperty float z\n{}end_header\n"
FACE = "element face 1\nproperty list uchar int vertex_indices\n"


def test_inspect_ply_without_faces_says_what_it_is(tmp_path: Path) -> None:
    points, splat = tmp_path / "points.ply", tmp_path / "splat.ply"
    points.write_text(PLY.format("", "") + "0 0 0\n1 0 0\n0 1 0\n")
    splat.write_text(PLY.format("", "property float f_dc_0\n") + "0 0 0 1\n1 0 0 1\n0 1 0 1\n")
    with pytest.raises(Unrenderable, match="no faces: the file holds only points or lines"):
        measured(points)
    with pytest.raises(Unrenderable, match="no faces: a Gaussian splat, not a mesh"):
        measured(splat)


def test_inspect_ply_or_stl_vertex_that_is_not_finite_is_turned_away(tmp_path: Path) -> None:
    ply, stl = tmp_path / "a.ply", tmp_path / "a.stl"
    ply.write_text(PLY.format("", FACE) + "0 0 0\n1 0 0\nnan 1 0\n3 0 1 2\n")
    triangle = np.zeros((4, 3), np.float32)
    triangle[1:] = [[0, 0, 0], [1, 0, 0], [0, np.inf, 0]]
    stl.write_bytes(b"x" * 80 + np.uint32(1).tobytes() + triangle.tobytes() + b"\0\0")
    values = np.array([[0, 0, 0], [1, 0, 0], [np.nan, 1, 0]], "<f4")
    faces = b"\x03" + np.arange(3, dtype="<i4").tobytes()
    binary = tmp_path / "b.ply"
    binary.write_bytes(
        PLY.replace("ascii", "binary_little_endian").format("", FACE).encode() + values.tobytes() + faces
    )
    for path in (ply, binary, stl):
        with pytest.raises(Unrenderable, match="not finite"):
            measured(path)


def test_inspect_ply_that_is_cut_off_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text(PLY.format("", FACE) + "0 0 0\n1 0 0\n0 1 0\n")
    with pytest.raises(Unrenderable, match="cut off: the file has 3 of 4 lines of data"):
        measured(path)


def test_inspect_ply_texture_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    head = PLY.format("comment TextureFile bark 1.png\n", "property float s\nproperty float t\n" + FACE)
    path.write_text(head + "0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n")
    with pytest.raises(Unrenderable, match=r"texture 'bark 1\.png' is missing"):
        measured(path)
    corners = FACE + "property list uchar float texcoord\n"
    path.write_text(
        PLY.format("comment TextureFile bark 1.png\n", corners) + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2 6 0 0 1 0 0 1\n"
    )
    with pytest.raises(Unrenderable, match="texture coordinates belong to corners of faces"):
        measured(path)


@pytest.mark.parametrize(
    "names", [("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("Red", "Green", "Blue")]
)
def test_render_views_ply_colours_of_other_names_are_seen(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "a.ply"
    head = PLY.format("", "".join(f"property uchar {name}\n" for name in names) + FACE)
    path.write_text(head + "0 -1 -1 0 255 0\n0 1 -1 0 255 0\n0 0 1 0 255 0\n3 0 1 2\n")
    pixel = seen(path)[36, 32]
    assert pixel[1] > 200
    assert pixel[[0, 2]].max() < 60


def test_inspect_ply_colours_of_faces_are_refused_with_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text(PLY.format("", FACE + "property uchar red\n") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2 255\n")
    with pytest.raises(Unrenderable, match="its colours belong to faces"):
        measured(path)


@pytest.mark.parametrize("name", ["tower.fbx", "tower.dae"])
@pytest.mark.parametrize(
    ("written", "stored"), [("paint.png", "Paint.PNG"), ("pa\u00edt.png", "pai\u0301t.png")], ids=["case", "accent"]
)
def test_render_views_texture_of_another_computer_is_found_beside_the_file(
    folder: Path, name: str, written: str, stored: str, tmp_path: Path
) -> None:
    content = (folder / name).read_bytes()
    assert b"paint.png" in content
    content = content.replace(b"paint.png", written.encode())
    (tmp_path / name).write_bytes(content.replace(str(folder).encode(), b"C:\\" + b"x" * (len(str(folder)) - 3)))
    (tmp_path / "maps").mkdir()
    (folder / "paint.png").rename(tmp_path / "maps" / stored)
    try:
        image = seen(tmp_path / name)
    finally:
        (tmp_path / "maps" / stored).rename(folder / "paint.png")
    assert image[32, 32, 0] > 200
    assert image[32, 32, 1:3].max() < 60


@pytest.mark.parametrize("name", ["tower.fbx", "tower.dae"])
def test_inspect_texture_that_is_nowhere_is_named(folder: Path, name: str, tmp_path: Path) -> None:
    content = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(
        content.replace(b"paint.png", b"n0ne!.png").replace(str(folder).encode(), b"/" + b"x" * (len(str(folder)) - 1))
    )
    with pytest.raises(Unrenderable, match=r"texture 'n0ne!\.png' is missing"):
        measured(tmp_path / name)


def test_inspect_dae_texture_without_ending_that_is_nowhere_is_named(folder: Path, tmp_path: Path) -> None:
    text = (folder / "tower.dae").read_text()
    assert "<init_from>paint.png<" in text
    (tmp_path / "a.dae").write_text(text.replace("<init_from>paint.png<", "<init_from>bark<"))
    with pytest.raises(Unrenderable, match="texture 'bark' is missing"):
        measured(tmp_path / "a.dae")


def test_inspect_dae_texture_whose_name_is_longer_than_names_can_be_is_missing(folder: Path, tmp_path: Path) -> None:
    text = (folder / "tower.dae").read_text()
    (tmp_path / "a.dae").write_text(text.replace("<init_from>paint.png<", f"<init_from>{'n' * 300}<"))
    with pytest.raises(Unrenderable, match=r"texture 'n{60,}\S*' is missing"):
        measured(tmp_path / "a.dae")


@contextmanager
def blend_scene(path: Path) -> Iterator[Any]:
    """An empty scene that is saved to `path` when it is built, compressed as Blender can."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    yield bpy.context.scene
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=True)


def add_box(scene: Any, name: str, side: float) -> Any:
    corners = side * (np.indices((2, 2, 2)).reshape(3, -1).T - 0.5)
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(corners.tolist(), [], [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6)])
    item = bpy.data.objects.new(name, mesh)
    scene.collection.objects.link(item)
    return item


def test_inspect_blend_runs_nothing_that_is_in_it(tmp_path: Path) -> None:
    by_text, by_driver = tmp_path / "text was run", tmp_path / "driver was run"
    path = tmp_path / "trap.blend"
    with blend_scene(path) as scene:
        box = add_box(scene, "box", 2)
        text = bpy.data.texts.new("trap.py")
        text.write(f"open({str(by_text)!r}, 'w')")
        text.use_module = True  # Blender runs such a text when it opens the file, if it may
        driver = box.driver_add("location", 0).driver
        driver.type, driver.expression = "SCRIPTED", f"5 if open({str(by_driver)!r}, 'w') else 5"
    by_driver.unlink(missing_ok=True)
    report = measured(path)
    seen(path)
    assert sides(report) == (2, 2, 2)
    assert not by_text.exists()
    assert not by_driver.exists()


def test_inspect_blend_shows_what_its_main_scene_renders(tmp_path: Path) -> None:
    def hide(scene: Any) -> None:
        add_box(scene, "cutter", 50).hide_render = True

    def exclude(scene: Any) -> None:
        off = bpy.data.collections.new("off")
        scene.collection.children.link(off)
        large = add_box(scene, "large", 60)
        scene.collection.objects.unlink(large)
        off.objects.link(large)
        scene.view_layers[0].layer_collection.children["off"].exclude = True

    def second_scene(scene: Any) -> None:
        del scene
        add_box(bpy.data.scenes.new("Another"), "far", 70)

    def text(scene: Any) -> None:
        curve = bpy.data.curves.new("word", "FONT")
        curve.body, curve.extrude = "I", 2.0
        scene.collection.objects.link(bpy.data.objects.new("word", curve))

    changes: tuple[Callable[[Any], None], ...] = (hide, exclude, second_scene, text)
    path = tmp_path / "several.blend"
    with blend_scene(path) as scene:
        add_box(scene, "box", 2)
        for change in changes:
            change(scene)
    report = measured(path)
    assert report.num_meshes == 2, "the box and the word"
    assert sides(report)[2] == pytest.approx(4, abs=0.1), "the word is 4 deep"


def test_inspect_blend_without_objects_or_with_a_lost_library_is_turned_away(tmp_path: Path) -> None:
    with blend_scene(tmp_path / "empty.blend"):
        pass
    with pytest.raises(Unrenderable, match="no faces: the file holds no mesh"):
        measured(tmp_path / "empty.blend")
    with blend_scene(tmp_path / "parts.blend") as scene:
        add_box(scene, "part", 1)
    with blend_scene(tmp_path / "whole.blend") as scene:
        with bpy.data.libraries.load(str(tmp_path / "parts.blend"), link=True) as (_, wanted):
            wanted.objects = ["part"]
        scene.collection.objects.link(wanted.objects[0])
    (tmp_path / "parts.blend").unlink()
    with pytest.raises(Unrenderable, match=r"is linked to 'parts\.blend', which is missing"):
        measured(tmp_path / "whole.blend")
