"""Objects in a folder: names, side files, scores."""

import errno
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.artifacts.tables import Entry
from tasks.config import CatalogConfig
from tasks.sources.folder import FolderSource, find_objects
from tests.tasks.hub import catalog_config, glb

REAL_OBJECTS = Path(__file__).parents[3].parent / "shared" / "data" / "objects"


def folder_config(root: Path) -> CatalogConfig:
    return catalog_config(source="folder", folder=str(root))


def write(root: Path, files: Mapping[str, bytes | str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content.encode() if isinstance(content, str) else content)


def fetch_only(root: Path, out: Path) -> tuple[str, list[str]]:
    """Fetch the one object of `root`; its main file and all its files, relative to `out`."""
    source = FolderSource(folder_config(root), 0)
    [entry] = source.entries()
    main = source.fetch(entry, out)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    return main.relative_to(out).as_posix(), files


def test_folder_objects_are_named_after_file_or_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "chair one.glb": glb(),
            "deep/er/lamp.OBJ": "v 0 0 0",
            "Alarm/meshes/model.obj": "v 0 0 0",
            "robot/scene.gltf": "{}",
            "notes.txt": "",
            ".hidden/secret.glb": glb(),
        },
    )
    found = find_objects(tmp_path)
    assert {uid: path.relative_to(tmp_path).as_posix() for uid, path in found.items()} == {
        "Alarm": "Alarm/meshes/model.obj",
        "chair_one": "chair one.glb",
        "lamp": "deep/er/lamp.OBJ",
        "robot": "robot/scene.gltf",
    }


def test_folder_two_objects_of_one_name_raise_naming_both(tmp_path: Path) -> None:
    write(tmp_path, {"a/chair.glb": glb(), "b/chair.obj": "v 0 0 0"})
    with pytest.raises(ValueError, match=r"b/chair\.obj and .*a/chair\.glb would both be object 'chair': rename"):
        find_objects(tmp_path)


def test_folder_absent_or_empty_raises_with_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere is not a folder: put \.glb, \.gltf, \.obj files there"):
        find_objects(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no \.glb"):
        find_objects(tmp_path)


def test_folder_entries_take_score_title_and_licence_from_the_table(tmp_path: Path) -> None:
    table = "uid,aesthetic_score,title,license\nchair,6.5,A chair,CC0-1.0\nlamp,,,\n"
    write(tmp_path, {"chair.glb": glb(), "more/lamp.glb": glb(), "scores.csv": table})
    assert FolderSource(folder_config(tmp_path), 0).entries() == [
        Entry("chair", "chair.glb", 6.5, "A chair", "CC0-1.0", "folder"),
        Entry("lamp", "more/lamp.glb", None, "lamp", "", "folder"),
    ]


def test_folder_fetch_of_a_glb_copies_it_alone(tmp_path: Path) -> None:
    write(tmp_path / "in", {"chair.GLB": glb("chair"), "readme.md": ""})
    assert fetch_only(tmp_path / "in", tmp_path / "out") == ("chair.glb", ["chair.glb"])
    assert (tmp_path / "out" / "chair.glb").read_bytes() == glb("chair")


def test_folder_fetch_of_a_gltf_brings_its_buffers_and_images(tmp_path: Path) -> None:
    document = {
        "buffers": [{"uri": "scene%20data.bin", "byteLength": 1}],
        "images": [
            {"uri": "textures/wood.png"},
            {"uri": "data:image/png;base64,AA=="},
            {"uri": "gone.png"},
            {"bufferView": 0},
        ],
    }
    files: dict[str, bytes | str] = {
        "scene.gltf": json.dumps(document),
        "scene data.bin": b"1",
        "textures/wood.png": b"2",
        "textures/other.png": b"3",
    }
    write(tmp_path / "in" / "table", files)
    main, found = fetch_only(tmp_path / "in", tmp_path / "out")
    assert main == "table/scene.gltf"
    assert found == ["table/scene data.bin", "table/scene.gltf", "table/textures/wood.png"]


def test_folder_fetch_of_an_obj_brings_materials_and_textures_from_other_folders(tmp_path: Path) -> None:
    material = "newmtl a\nmap_Kd ../textures/with blank.png\nbump -bm 0.5 -clamp on b.png\nmap_Ks -o 0 0 0 gone.png\n"
    files: dict[str, bytes | str] = {
        "meshes/model.obj": "# an object\nmtllib model.mtl extra.mtl\nv 0 0 0\n",
        "meshes/model.mtl": material,
        "meshes/extra.mtl": "newmtl b\nmap_d -s 1 1 1 c.png",
        "meshes/b.png": b"b",
        "meshes/c.png": b"c",
        "textures/with blank.png": b"t",
        "thumbnail.png": b"x",
    }
    write(tmp_path / "in" / "Alarm", files)
    main, found = fetch_only(tmp_path / "in", tmp_path / "out")
    assert main == "Alarm/meshes/model.obj"
    wanted = [name for name in files if name != "thumbnail.png"]
    assert found == sorted(f"Alarm/{name}" for name in wanted)


def test_folder_fetch_never_copies_from_outside_the_folder(tmp_path: Path) -> None:
    write(tmp_path, {"secret.bin": b"secret"})
    document = {"buffers": [{"uri": "../secret.bin"}, {"uri": str(tmp_path / "secret.bin")}]}
    write(tmp_path / "in", {"a.gltf": json.dumps(document)})
    assert fetch_only(tmp_path / "in", tmp_path / "out") == ("a.gltf", ["a.gltf"])


@pytest.mark.parametrize("content", [b"", b"glTF", b"not json", b"[1, 2]", b'{"buffers": 3}'])
def test_folder_fetch_of_a_broken_file_still_copies_it(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "in", {"a.gltf": content})
    assert fetch_only(tmp_path / "in", tmp_path / "out") == ("a.gltf", ["a.gltf"])


def test_folder_fetch_again_replaces_an_unfinished_copy(tmp_path: Path) -> None:
    write(tmp_path / "in", {"a.gltf": json.dumps({"buffers": [{"uri": "a.bin"}]}), "a.bin": b"1"})
    write(tmp_path / "out", {".a.part/old.bin": b"0", "a/old.bin": b"0"})
    assert fetch_only(tmp_path / "in", tmp_path / "out") == ("a/a.gltf", ["a/a.bin", "a/a.gltf"])


def test_folder_fetch_counts_side_files_against_the_limit(tmp_path: Path) -> None:
    write(tmp_path, {"a.gltf": json.dumps({"buffers": [{"uri": "a.bin"}]}), "a.bin": b"1" * 1000})
    source = FolderSource(folder_config(tmp_path), 0)
    [entry] = source.entries()
    with pytest.raises(OSError, match="the limit is 1000") as caught:
        source.fetch(entry, tmp_path / "out", max_bytes=1000)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.skipif(not REAL_OBJECTS.is_dir(), reason="the shared objects are not here")
def test_folder_of_real_objects_lists_and_fetches_all(tmp_path: Path) -> None:
    source = FolderSource(folder_config(REAL_OBJECTS), 0)
    entries = source.entries()
    assert len(entries) == sum(path.suffix in (".glb", ".gltf", ".obj") for path in REAL_OBJECTS.rglob("*"))
    for entry in entries:
        assert source.fetch(entry, tmp_path).stat().st_size == (REAL_OBJECTS / entry.location).stat().st_size
