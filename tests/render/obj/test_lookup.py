import json
import os
from pathlib import Path

import pytest

from render.obj.lookup import find_file, last_part
from tests.render.obj.cards import write

FORMS = {
    "tex.png": "tex.png",
    "  tex.png ": "tex.png",
    '"my tex.png"': "my tex.png",
    "textures/tex.png": "textures/tex.png",
    "textures\\tex.png": "textures/tex.png",
    ".\\textures\\\\tex.png": "textures/tex.png",
    "..\\up\\tex.png": "../up/tex.png",
    "../up/tex.png": "../up/tex.png",
    "C:\\work\\models\\tex.png": "tex.png",
    "C:/work/models/textures/tex.png": "textures/tex.png",
    "/home/someone/tex.png": "tex.png",
    "wood -dark 1.png": "wood -dark 1.png",
    "wood #2.png": "wood #2.png",
    "tex.png # the colour": "tex.png",
    "tex.png -s 2 2 1": "tex.png",
    "my%20tex.png": "my tex.png",
    "your tex.png": "your%20tex.png",
    "my_tex.png": "my tex.png",
    "TEX.PNG": "tex.png",
    "Textures/Tex.png": "textures/tex.png",
    "caf\u00e9.png": "cafe\u0301.png",
}


@pytest.mark.parametrize("written", FORMS)
def test_find_file_every_form_of_a_name_leads_to_the_file(tmp_path: Path, written: str) -> None:
    stored = FORMS[written]
    write(tmp_path / "a" / "b", {stored: "x"})
    found = find_file(written, [tmp_path / "a" / "b"], absolute=True)
    assert found is not None
    assert found.path == found.place == Path(os.path.normpath(tmp_path / "a" / "b" / stored))


def test_find_file_sketchfabs_textures_folder_beside_the_models_is_looked_into(tmp_path: Path) -> None:
    write(tmp_path, {"textures/tex.png": "x", "source/model.mtl": "x"})
    found = find_file("tex.png", [tmp_path / "source"], absolute=True)
    assert found is not None
    assert found.path == tmp_path / "textures" / "tex.png"


@pytest.mark.parametrize("code", ["cp1252", "shift_jis", "gb18030"])
def test_find_file_name_in_another_code_than_the_disks(tmp_path: Path, code: str) -> None:
    name = {"cp1252": "M\u00f6bel.png", "shift_jis": "\u6728\u76ee.png", "gb18030": "\u6728\u7eb9.png"}[code]
    write(tmp_path, {name: "x"})
    found = find_file(os.fsdecode(name.encode(code)), [tmp_path], absolute=True)
    assert found is not None
    assert found.path == tmp_path / name


def test_find_file_absolute_path_is_placed_beside_and_gives_way_to_what_lies_there(tmp_path: Path) -> None:
    write(tmp_path, {"far/tex.png": "far", "near/model.mtl": ""})
    name = str(tmp_path / "far" / "tex.png")
    found = find_file(name, [tmp_path / "near"], absolute=True)
    assert found is not None
    assert (found.path, found.place) == (tmp_path / "far" / "tex.png", tmp_path / "near" / "tex.png")
    assert find_file(name, [tmp_path / "near"], absolute=False) is None
    write(tmp_path, {"near/tex.png": "near"})
    beside = find_file(name, [tmp_path / "near"], absolute=True)
    assert beside is not None
    assert beside.path == tmp_path / "near" / "tex.png"


@pytest.mark.parametrize("name", ["", "gone.png", "..", "a" * 300, "a/" * 50, "*0", '"', "\udcff.png"])
def test_find_file_name_of_nothing_is_none(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"tex.png": "x", "textures/other.png": "x"})
    assert find_file(name, [tmp_path], absolute=True) is None


def test_find_file_name_that_only_json_can_hold_is_none(tmp_path: Path) -> None:
    """Half of a surrogate pair has no bytes, and so is in no file's name."""
    write(tmp_path, {"tex.png": "x"})
    assert find_file(json.loads(r'"\ud800.png"'), [tmp_path], absolute=True) is None


def test_last_part_is_the_files_name_of_either_system() -> None:
    assert [last_part(name) for name in ('"C:\\a\\b c.png"', "../a/b.png", "b.png")] == ["b c.png", "b.png", "b.png"]
