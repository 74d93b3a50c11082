"""Files besides glTF and OBJ of which Blender makes something else, or nothing, without a word: each is told why."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from render.errors import Unrenderable
from tests.render.test_formats import FACE, PLY, measured, sides

pytestmark = pytest.mark.blender
importers = pytest.importorskip("render.blender.importers")
dae_file = pytest.importorskip("render.blender.dae_file")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("0 0 0\n1 abc 0\n0 1 0\n3 0 1 2\n", "vertex 1 has the coordinate abc, which is no number"),
        ("0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "face 0 names the vertex 3, but the file has 3, counted from 0"),
    ],
)
def test_inspect_ply_of_which_blender_makes_something_else_says_what_is_wrong(
    tmp_path: Path, rows: str, reason: str
) -> None:
    path = tmp_path / "a.ply"
    path.write_text(PLY.format("", FACE) + rows)
    with pytest.raises(Unrenderable, match=reason):
        measured(path)


def test_inspect_ply_without_positions_says_what_they_are_called(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_text(PLY.format("", FACE).replace("float x", "float X") + "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    with pytest.raises(Unrenderable, match="its vertices have no properties that are called x, y and z"):
        measured(path)


@pytest.mark.parametrize("change", [bytes.upper, lambda text: text.replace(b"\n", b"\r")])
def test_inspect_stl_text_in_capital_letters_or_lines_of_old_macs_is_read(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    corners = ("0 0 0", "1 0 0", "0 2.5e-1 0")
    vertices = "".join(f"vertex {corner}\n" for corner in corners)
    text = f"solid a\nfacet normal 0 0 1\nouter loop\n{vertices}endloop\nendfacet\nendsolid a\n"
    path = tmp_path / "a.stl"
    path.write_bytes(change(text.encode()))
    assert sides(measured(path)) == (1, 0.25, 0)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ("nan 0 0 1 0 0 0 1 0", "the positions of a mesh hold 'nan', which is no finite number"),
        ("0 0 0 1 o 0 0 1 0", "the positions of a mesh hold 'o', which is no finite number"),
        ("0 0 0 1 0", "the positions of a mesh are cut off: 5 of 9 numbers"),
    ],
)
def test_inspect_collada_positions_that_are_no_numbers_are_named(tmp_path: Path, numbers: str, reason: str) -> None:
    path = tmp_path / "a.dae"
    path.write_text(collada("0 0 0 1.5e0 0 0 0 1 0", normals="0 0 NaN"))
    assert measured(path).num_faces == 1
    path.write_text(collada(numbers))
    with pytest.raises(Unrenderable, match=reason):
        measured(path)


def collada(positions: str, normals: str = "0 0 1") -> str:
    """A triangle."""
    lists = "".join(
        f'<source id="{name}"><float_array id="{name}s" count="{count}">{numbers}</float_array><technique_common>'
        f'<accessor source="#{name}s" count="{count // 3}" stride="3">'
        + "".join(f'<param name="{axis}" type="float"/>' for axis in "XYZ")
        + "</accessor></technique_common></source>"
        for name, count, numbers in (("position", 9, positions), ("normal", 3, normals))
    )
    return (
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset/>'
        f'<library_geometries><geometry id="g"><mesh>{lists}'
        '<vertices id="vertex"><input source="#position" semantic="POSITION"/></vertices><triangles count="1">'
        '<input semantic="VERTEX" source="#vertex" offset="0"/><input semantic="NORMAL" source="#normal" offset="1"/>'
        "<p>0 0 1 0 2 0</p></triangles></mesh></geometry></library_geometries>"
        '<library_visual_scenes><visual_scene id="s"><node id="n"><instance_geometry url="#g"/></node></visual_scene>'
        '</library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>'
    )


@pytest.mark.parametrize(
    ("pattern", "content"),
    [
        ("INIT_FROM", b"<image>" * 20_000),
        ("INIT_FROM", b"<image><init_from>" + b" " * 20_000),
        ("POSITIONS", b"<input " * 20_000),
        ("NUMBERS", b"<source " * 20_000),
        ("NUMBERS", b"<source " + b"id='a' " * 30_000),
    ],
)
def test_collada_that_is_damaged_is_searched_in_one_pass(pattern: str, content: bytes) -> None:
    """The square of these lengths takes seconds to minutes, a pass thousandths of a second."""
    start = time.process_time()
    assert getattr(dae_file, pattern).search(content) is None
    assert time.process_time() - start < 1


def test_fbx_text_on_one_line_is_searched_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.fbx"
    path.write_bytes(b'"UpAxis", ' * 20_000)
    start = time.process_time()
    assert importers.assumed_up_axis(path) == "Y"
    assert time.process_time() - start < 1


USD_TRIANGLE = """#usda 1.0
def Mesh "part"
{{
    int[] faceVertexCounts = {counts}
    int[] faceVertexIndices = {indices}
    point3f[] points = [(0, 0, 0), (1, 0, 0), ({x}, 1, 0), (nan, 0, 0)]
}}
"""


SOUND = {"counts": "[3]", "indices": "[0, 1, 2]", "x": "0"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"indices": "[0, 1, 9]"}, "the mesh 'part' is damaged .Out of range face vertex index 9.*: export it again"),
        ({"indices": "[0, 1, -1]"}, "the mesh 'part' is damaged .Out of range face vertex index -1"),
        ({"counts": "[3, 3, 3]"}, "the mesh 'part' is damaged .Sum of faceVertexCounts"),
        ({"x": "nan"}, "vertices are not finite"),
    ],
)
def test_inspect_usd_mesh_that_is_damaged_is_named(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    """More corners than indices crash Blender."""
    path = tmp_path / "a.usda"
    path.write_text(USD_TRIANGLE.format(**SOUND))
    assert measured(path).num_faces == 1
    path.write_text(USD_TRIANGLE.format(**SOUND | changes))
    with pytest.raises(Unrenderable, match=reason):
        measured(path)


@pytest.mark.parametrize(
    "text",
    [
        "#usda 1.0\n(\n    subLayers = [@./gone.usda@]\n)\n",
        '#usda 1.0\ndef "whole" (\n    references = @./gone.usda@\n)\n{\n}\n',
        '#usda 1.0\ndef "whole" (\n    payload = @./gone.usda@\n)\n{\n}\n',
    ],
    ids=["sublayer", "reference", "payload"],
)
def test_inspect_usd_layer_that_is_missing_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.usda"
    path.write_text(text + USD_TRIANGLE.removeprefix("#usda 1.0\n").format(**SOUND))
    with pytest.raises(Unrenderable, match=r"refers to 'gone\.usda', which is missing: put it where the file"):
        measured(path)


@pytest.mark.parametrize("name", ["part.abc", "part.usda"])
def test_inspect_usd_layer_that_is_there_and_cannot_be_read_is_not_missing(tmp_path: Path, name: str) -> None:
    """One of a format that the library of Blender does not read, and one that is damaged."""
    (tmp_path / name).write_text("#usda 1.0\ndef {")
    path = tmp_path / "a.usda"
    for text in (f"(\n    subLayers = [@./{name}@]\n)\n", f'def "whole" (\n    references = @./{name}@\n)\n{{\n}}\n'):
        path.write_text(f"#usda 1.0\n{text}" + USD_TRIANGLE.removeprefix("#usda 1.0\n").format(**SOUND))
        with pytest.raises(Unrenderable, match=f"refers to '{name}', which cannot be read: export it as USD"):
            measured(path)


def test_inspect_usd_layer_of_a_variant_that_is_not_chosen_may_be_missing(tmp_path: Path) -> None:
    variants = 'variants = {\n        string size = "small"\n    }\n    prepend variantSets = "size"'
    large = '        "large" (\n            references = @./gone.usda@\n        ) {\n        }\n'
    small = '        "small" {\n        }\n'
    sizes = f'    variantSet "size" = {{\n{small}{large}    }}\n'
    path = tmp_path / "a.usda"
    path.write_text(USD_TRIANGLE.format(**SOUND) + f'def "part2" (\n    {variants}\n)\n{{\n{sizes}}}\n')
    assert measured(path).num_faces == 1
