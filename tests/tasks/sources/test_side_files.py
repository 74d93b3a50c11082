"""A copied object looks as it did where it came from, however its files name each other."""

import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from render.device import Machine
from render.placement import normalize_bounds
from render.report import check_usable
from tasks.artifacts.tables import Entry
from tasks.sources.folder import FolderSource
from tasks.sources.mentioned_files import mentioned_files
from tasks.sources.side_files import files_beside
from tests.render.gltf_files import Gltf, box
from tests.render.obj.cards import card, half_clear, write
from tests.render.obj.test_lookup import FORMS
from tests.render.toys import camera, toy_config
from tests.tasks.hub import catalog_config

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")

LIBRARIES = {
    "mtllib a.mtl": "a.mtl",
    "mtllib my a.mtl": "my a.mtl",
    "mtllib gone.mtl a.mtl": "a.mtl",
    "mtllib ..\\lib\\a.mtl": "../lib/a.mtl",
    "mtllib C:\\work\\lib\\a.mtl": "lib/a.mtl",
    "mtllib A.MTL # b": "a.mtl",
    "": "model.mtl",
}


def view(path: Path) -> npt.NDArray[np.uint8]:
    report = objects.inspect(path)
    check_usable(report, max_faces=100, missing_texture="reject", enclosed="keep")
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    config = toy_config(resolution=16)
    (taken,) = shots.render_views(path, placement, [camera()], config, uid="a", seed=0, machine=Machine(1))
    return taken.rgba


def check_copy_looks_the_same(root: Path, main: Path, out: Path) -> None:
    """Render in place, copy, take the originals away, render again."""
    before = view(main)
    assert before[..., 3].any()
    assert np.ptp(before[..., 0]) > 100, "the texture is seen"
    source = FolderSource(catalog_config(source="folder", folder=str(root)), 0)
    copy = source.fetch(Entry("uid", main.relative_to(root).as_posix(), None, "", "", "folder"), out)
    root.rename(root.with_name("taken away"))
    np.testing.assert_array_equal(view(copy), before)


def test_files_beside_an_object_are_those_that_it_names_and_none_where_it_cannot_be_copied(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/box.obj", "in/box.mtl", "out.mtl"):
        (tmp_path / name).write_text("newmtl red\n" if name.endswith(".mtl") else "mtllib box.mtl\n")
    assert files_beside(tmp_path / "in" / "box.obj", tmp_path / "in") == (tmp_path / "in" / "box.mtl",)
    (tmp_path / "in" / "box.obj").write_text("mtllib ../out.mtl\n")
    assert files_beside(tmp_path / "in" / "box.obj", tmp_path / "in") == ()


@pytest.mark.parametrize("written", FORMS)
def test_copied_object_looks_the_same_whatever_names_its_texture(tmp_path: Path, written: str) -> None:
    folder = tmp_path / "in" / "a" / "b"
    material = f"newmtl m\nmap_Kd {written}\n"
    main = write(folder, {"model.obj": card(head="mtllib model.mtl"), "model.mtl": material, FORMS[written]: ""})
    half_clear(folder / FORMS[written], (255, 60, 0))
    check_copy_looks_the_same(tmp_path / "in", main, tmp_path / "out")


@pytest.mark.parametrize(
    "written", ["Textures/T\u00c9X.png", "te\u0301x.png", "C:\\work\\t\u00e9x.png", "t%C3%A9x.png"]
)
@pytest.mark.parametrize("kind", ["gltf", "ply"])
def test_copied_object_looks_the_same_whatever_letters_its_gltf_or_ply_file_is_written_in(
    tmp_path: Path, kind: str, written: str
) -> None:
    folder = tmp_path / "in" / "a" / "b"
    stored = "textures/t\u00e9x.png" if written.startswith("T") else "t\u00e9x.png"
    main = write(folder, {f"model.{kind}": "", stored: "", "Model.BIN": ""})
    half_clear(folder / stored, (255, 60, 0))
    if kind == "gltf":
        (folder / "Model.BIN").write_bytes(textured_box(written).write_beside(main, "model.bin"))
    else:
        head = "ply\nformat ascii 1.0\ncomment TextureFile {}\nelement vertex 3\n"
        properties = "".join(f"property float {name}\n" for name in "xyzst")
        rows = "0 -1 -1 0 0\n0 1 -1 1 0\n0 0 1 .5 1\n3 0 1 2\n"
        faces = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        main.write_text(head.format(written) + properties + faces + rows, encoding="utf-8")
    check_copy_looks_the_same(tmp_path / "in", main, tmp_path / "out")


def textured_box(uri: str) -> Gltf:
    gltf = Gltf()
    gltf.add("images", {"uri": uri})
    gltf.add("textures", {"source": 0})
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0}
    material = gltf.add("materials", {"pbrMetallicRoughness": surface})
    corners = gltf.accessor(np.full((8, 2), 0.9, dtype=np.float32))
    gltf.node(gltf.mesh(box(1), material, TEXCOORD_0=corners))
    return gltf


@pytest.mark.parametrize("head", LIBRARIES)
def test_copied_object_looks_the_same_whatever_names_its_library(tmp_path: Path, head: str) -> None:
    folder = tmp_path / "in" / "a" / "b"
    library = LIBRARIES[head]
    main = write(folder, {"model.obj": card(head=head), library: "newmtl m\nmap_Kd tex.png\n"})
    half_clear((folder / library).parent / "tex.png", (255, 60, 0))
    check_copy_looks_the_same(tmp_path / "in", main, tmp_path / "out")


@pytest.mark.parametrize("place", ["far/deep/tex.png", "a/b/tex.png", "tex.png"])
def test_copied_object_looks_the_same_when_its_texture_has_an_absolute_path(tmp_path: Path, place: str) -> None:
    root = tmp_path / "in"
    main = write(root, {"a/b/model.obj": card(head="mtllib model.mtl"), place: ""})
    write(root, {"a/b/model.mtl": f"newmtl m\nmap_Kd {root / place}\n"})
    half_clear(root / place, (255, 60, 0))
    check_copy_looks_the_same(root, main, tmp_path / "out")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{root}/y/tex.png", r"y/tex\.png and .*x/tex\.png by absolute paths: make them relative"),
        ("../x/tex.png", r"x/tex\.png by a relative and by an absolute path: make both relative"),
    ],
)
def test_fetch_names_that_a_copy_cannot_tell_apart_are_refused(tmp_path: Path, second: str, reason: str) -> None:
    root = tmp_path / "in"
    material = f"newmtl m\nmap_Kd {root}/x/tex.png\nmap_d {second.format(root=root)}\n"
    write(root, {"a/a.obj": card(head="mtllib a.mtl"), "a/a.mtl": material, "x/tex.png": "1", "y/tex.png": "2"})
    source = FolderSource(catalog_config(source="folder", folder=str(root)), 0)
    with pytest.raises(FileNotFoundError, match=reason):
        source.fetch(Entry("a", "a/a.obj", None, "", "", "folder"), tmp_path / "out")


def test_fetch_from_a_folder_with_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("in"), {"a.obj": card(head="mtllib a.mtl"), "a.mtl": "newmtl m\nmap_Kd tex.png\n", "tex.png": "x"})
    source = FolderSource(catalog_config(source="folder", folder="x/../in"), 0)
    main = source.fetch(Entry("a", "a.obj", None, "", "", "folder"), tmp_path / "out")
    assert sorted(path.name for path in main.parent.iterdir()) == ["a.mtl", "a.obj", "tex.png"]


def test_copied_object_looks_the_same_when_names_are_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"t\xe9x.png")
    files: dict[str, str | bytes] = {
        "model.obj": card(head="mtllib model.mtl"),
        "model.mtl": b"newmtl m\nmap_Kd t\xe9x.png\n",
        name: "",
    }
    main = write(tmp_path / "in" / "a", files)
    half_clear(main.with_name(name), (255, 60, 0))
    check_copy_looks_the_same(tmp_path / "in", main, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gltf", '{{"images": [{{"uri": "{}"}}]}}'),
        ("a.ply", "ply\ncomment TextureFile {}\nend_header\n"),
        ("a.dae", "<image><init_from>{}</init_from></image>"),
        ("a.fbx", '"{}"'),
        ("a.obj", "mtllib {}\n"),
    ],
)
@pytest.mark.parametrize("length", [300, 5000])
def test_name_that_is_longer_than_names_can_be_leads_to_no_file(
    tmp_path: Path, name: str, text: str, length: int
) -> None:
    (tmp_path / name).write_text(text.format("../" + "n" * length + ".png"))
    source = FolderSource(catalog_config(source="folder", folder=str(tmp_path)), 0)
    entry = Entry("a", name, None, "", "", "folder")
    assert source.fetch(entry, tmp_path / "objects").name == name
    assert files_beside(tmp_path / name, tmp_path) == ()


def test_mentioned_files_collada_image_is_read_in_one_pass(tmp_path: Path) -> None:
    """The fourth power of these few blanks takes a minute."""
    main = write(tmp_path, {"model.dae": f"<init_from>{' ' * 800}", "a b.png": ""})
    start = time.process_time()
    assert mentioned_files(main) == []
    main.write_text("<init_from>\n <ref> a%20b.png\n</ref></init_from>")
    assert mentioned_files(main) == [tmp_path / "a b.png"]
    assert time.process_time() - start < 1
