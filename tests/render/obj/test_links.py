from pathlib import Path

import pytest

from render.obj.links import Links, read_links, statements
from render.obj.text import read_text
from tests.render.obj.cards import card, write

MTL = "newmtl m\nKd 1 1 1\nmap_Kd tex.png\n"


def links(root: Path, files: dict[str, str | bytes]) -> Links:
    path = write(root, files)
    return read_links(path, read_text(path).content)


def names(found: Links) -> list[str]:
    return sorted(file.path.name for file in found.files())


@pytest.mark.parametrize(
    ("head", "library"),
    [
        ("mtllib a.mtl", "a.mtl"),
        ("  mtllib\ta.mtl  ", "a.mtl"),
        ("mtllib my a.mtl", "my a.mtl"),
        ('mtllib "my a.mtl"', "my a.mtl"),
        ("mtllib other.mtl a.mtl", "a.mtl"),
        ("mtllib gone.mtl\nmtllib a.mtl", "a.mtl"),
        ("mtllib ./a.mtl", "a.mtl"),
        ("mtllib lib\\a.mtl", "lib/a.mtl"),
        ("mtllib C:\\work\\a.mtl", "a.mtl"),
        ("mtllib /work/a.mtl", "a.mtl"),
        ("mtllib A.MTL", "a.mtl"),
        ("mtllib a.mtl # materials", "a.mtl"),
        ("", "model.mtl"),
        ("", "model.obj.mtl"),
        ("mtllib gone.mtl", "model.mtl"),
    ],
)
def test_read_links_library_is_found_however_it_is_named(tmp_path: Path, head: str, library: str) -> None:
    texture = str(Path(library).parent / "tex.png")
    found = links(tmp_path, {"model.obj": card(head=head), library: MTL, texture: "x"})
    assert found.missing_libraries == ()
    assert names(found) == sorted([Path(library).name, "tex.png"])


@pytest.mark.parametrize("code", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_read_links_texts_are_read_in_every_code_and_line_end(tmp_path: Path, code: str, end: str) -> None:
    files = {"model.obj": card(head="mtllib a.mtl"), "a.mtl": MTL, "tex.png": "x"}
    stored = {name: text.replace("\n", end).encode(code) for name, text in files.items()}
    assert names(links(tmp_path, {**stored})) == ["a.mtl", "tex.png"]


def test_read_links_lost_library_is_named_only_where_something_is_lost(tmp_path: Path) -> None:
    coloured = ("1 0 0",) * 4
    assert links(tmp_path, {"a.obj": card(head="mtllib x/gone.mtl")}).missing_libraries == ("gone.mtl",)
    assert links(tmp_path, {"b.obj": card(head="mtllib gone.mtl", material="")}).missing_libraries == ("gone.mtl",)
    painted = card(head="mtllib gone.mtl", material="", colours=coloured)
    assert links(tmp_path, {"c.obj": painted}).missing_libraries == ()
    assert links(tmp_path, {"d.obj": card()}).missing_libraries == ()
    both = {"e.obj": card(head="mtllib gone.mtl here.mtl"), "here.mtl": "newmtl m\n"}
    assert links(tmp_path, {**both}).missing_libraries == ()


@pytest.mark.parametrize("library", ["", "# materials\n"])
def test_read_links_library_without_materials_is_lost_where_one_is_used(tmp_path: Path, library: str) -> None:
    lost = links(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": library})
    assert lost.missing_libraries == ("a.mtl (it defines no material)",)
    for material in ("", "usemtl (null)"):
        plain = {"b.obj": card(head="mtllib b.mtl", material=material), "b.mtl": library}
        assert links(tmp_path, {**plain}).missing_libraries == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a.mtl (a git-LFS pointer: fetch the file itself (git lfs pull))",
        ),
        (bytes(9), "a.mtl (no text: OBJ and MTL files are, other files that end so are not read)"),
    ],
)
def test_read_links_library_that_cannot_be_read_is_missing_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    found = links(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": content})
    assert found.missing_libraries == (reason,)
    assert names(found) == ["a.mtl"]


@pytest.mark.parametrize("used", ["m", "m # wood", '"m"', "M"])
def test_read_links_material_is_known_by_what_is_close_to_its_name(tmp_path: Path, used: str) -> None:
    head, material = "mtllib a.mtl", f"usemtl {used}"
    found = links(tmp_path, {"a.obj": card(head=head, material=material), "a.mtl": MTL, "tex.png": "x"})
    assert list(found.materials) == [used.encode()]
    assert names(found) == ["a.mtl", "tex.png"]


def test_read_links_name_that_holds_a_number_sign_is_a_name(tmp_path: Path) -> None:
    library = "newmtl Grey #1\nmap_Kd 1.png\nnewmtl Grey #2\nmap_Kd 2.png\n"
    files = {"a.obj": card(head="mtllib a.mtl", material="usemtl Grey #2"), "a.mtl": library, "1.png": "", "2.png": ""}
    assert names(links(tmp_path, {**files})) == ["2.png", "a.mtl"]


def test_read_links_only_material_is_meant_by_an_object_that_uses_none(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.obj": card(head="mtllib a.mtl", material=""), "a.mtl": MTL, "tex.png": "x"}
    assert links(tmp_path, files).implied == b"m"
    assert links(tmp_path, {**files, "a.mtl": MTL + "newmtl n\n"}).implied is None


def test_read_links_textures_of_materials_that_are_not_used_are_not_needed(tmp_path: Path) -> None:
    library = MTL + "newmtl n\nmap_Kd n.png\n"
    found = links(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": library, "tex.png": "", "n.png": ""})
    assert names(found) == ["a.mtl", "tex.png"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("map_Kd -s 2 2 1 -o 0 .5 tex.png", "tex.png"),
        ("map_kd tex.png", "tex.png"),
        ("\tmap_Bump -bm 0.5 -clamp on tex.png", "tex.png"),
        ("map_d -imfchan m -mm 0 1 tex.png", "tex.png"),
        ("map_Kd wood -dark 1.png", "wood -dark 1.png"),
        ("bump -type sphere 2.png", "2.png"),
        ("map_Kd -s 1e-1 1 1 tex.png", "tex.png"),
    ],
)
def test_read_links_options_before_a_texture_are_not_its_name(tmp_path: Path, line: str, name: str) -> None:
    found = links(tmp_path, {"a.obj": card(head="mtllib a.mtl"), "a.mtl": f"newmtl m\n{line}\n", name: "x"})
    assert names(found) == sorted([name, "a.mtl"])


def test_read_links_ambient_texture_stands_in_for_that_of_the_colour(tmp_path: Path) -> None:
    files = {"a.obj": card(head="mtllib a.mtl"), "a.mtl": "newmtl m\nmap_Ka a.png\n", "a.png": "x", "b.png": "x"}
    (alone,) = links(tmp_path, {**files}).materials[b"m"]
    assert (alone.keyword, alone.name) == (b"map_Kd", "a.png")
    files["a.mtl"] += "map_Kd b.png\n"
    assert [statement.name for statement in links(tmp_path, {**files}).materials[b"m"]] == ["b.png"]


def test_read_links_opacity_of_zero_in_every_material_is_none(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.obj": card(head="mtllib a.mtl"), "a.mtl": "newmtl m\nd 0.000\nKd 1 0 0\n"}
    assert [statement.keyword for statement in links(tmp_path, files).materials[b"m"]] == [b"Kd"]
    two = card(head="mtllib a.mtl") + "usemtl n\nf 1 2 3\n"
    library = "newmtl m\nd 0\nnewmtl n\nd 1\n"
    kept = links(tmp_path, {"a.obj": two, "a.mtl": library}).materials
    assert [statement.value for statement in kept[b"m"]] == [b"0"]


def test_statements_are_whole_words_at_the_beginning_of_a_line() -> None:
    content = b"usemtl a\n# usemtl b\n  usemtl\tc d \r\nusemtlx e\no usemtl f\nusemtl"
    assert list(statements(content, b"usemtl")) == [b"a", b"c d"]
