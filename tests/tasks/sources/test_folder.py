"""Objects in a folder: names, side files, scores."""

import errno
import json
import re
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
    [entry] = source.listing().entries
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
    found = find_objects(tmp_path).objects
    assert {uid: path.relative_to(tmp_path).as_posix() for uid, path in found.items()} == {
        "Alarm": "Alarm/meshes/model.obj",
        "chair_one": "chair one.glb",
        "lamp": "deep/er/lamp.OBJ",
        "robot": "robot/scene.gltf",
    }


def test_folder_second_file_of_one_object_is_turned_away(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "0a1b/normalized_model.obj": "v 0 0 0",
            "0a1b/raw_model.obj": "v 0 0 0",
            "2c3d/raw_model.obj": "v 0 0 0",
            "Mug/visual_geometry.glb": glb(),
            "Mug/collision_geometry.obj": "v 0 0 0",
        },
    )
    found = find_objects(tmp_path)
    assert {uid: path.relative_to(tmp_path).as_posix() for uid, path in found.objects.items()} == {
        "0a1b": "0a1b/normalized_model.obj",
        "2c3d": "2c3d/raw_model.obj",
        "Mug": "Mug/visual_geometry.glb",
    }
    reasons = {row.uid.rpartition("-")[0]: row.reason for row in found.turned_away}
    assert reasons == {
        "0a1b": "the same object as normalized_model.obj beside it, which is used",
        "Mug": "the same object as visual_geometry.glb beside it, which is used",
    }


def test_folder_object_keeps_its_uid_when_another_of_its_name_is_added(tmp_path: Path) -> None:
    write(tmp_path / "in", {"b/chair.obj": "v 0 0 0", "Lamp.glb": glb()})
    source = FolderSource(folder_config(tmp_path / "in"), 0, tmp_path / "uids.json")
    assert [entry.uid for entry in source.listing().entries] == ["Lamp", "chair"]
    write(tmp_path / "in", {"a/chair.glb": glb(), "chair.glb": glb()})
    (tmp_path / "in/Lamp.glb").unlink()
    locations = {entry.uid: entry.location for entry in source.listing().entries}
    assert locations["chair"] == "b/chair.obj"
    assert len(locations) == 3
    write(tmp_path / "in", {"new/Lamp.glb": glb(), "Lamp.glb": glb()})
    assert {entry.location: entry.uid for entry in source.listing().entries}["Lamp.glb"] == "Lamp", "it came back"


def test_folder_with_only_faults_raises_with_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "gone.glb").symlink_to("nowhere")
    with pytest.raises(
        ValueError, match=r"holds no .* file; of 1 that look like one .* a link to nowhere, which is not"
    ):
        find_objects(tmp_path)


def test_folder_in_the_home_folder_is_found_and_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "objects", {"chair.glb": glb()})
    source = FolderSource(folder_config(Path("~/objects")), 0)
    [entry] = source.listing().entries
    assert entry.location == "chair.glb"
    assert source.fetch(entry, tmp_path / "out").read_bytes() == glb()


def test_folder_absent_or_empty_raises_with_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere is not a folder: put \.glb, \.gltf, \.obj, .* files there"):
        find_objects(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no \.glb"):
        find_objects(tmp_path)


def test_folder_entries_take_score_title_and_licence_from_the_table(tmp_path: Path) -> None:
    table = "uid,aesthetic_score,title,license\nchair,6.5,A chair,CC0-1.0\nlamp,,,\n"
    write(tmp_path, {"chair.glb": glb(), "more/lamp.glb": glb(), "scores.csv": table})
    assert FolderSource(folder_config(tmp_path), 0).listing().entries == [
        Entry("chair", "chair.glb", 6.5, "A chair", "CC0-1.0", "folder"),
        Entry("lamp", "more/lamp.glb", None, "lamp", "", "folder"),
    ]


def test_folder_table_may_name_objects_as_their_files_and_says_which_it_does_not_find(tmp_path: Path) -> None:
    table = "uid,aesthetic_score,title\nmy chair (1),6.5,Red\n椅子,7,\nsofa,5,\n"
    write(tmp_path, {"my chair (1).glb": glb(), "椅子.glb": glb(), "scores.csv": table})
    listing = FolderSource(folder_config(tmp_path), 0).listing()
    assert {entry.location: (entry.score, entry.title) for entry in listing.entries} == {
        "my chair (1).glb": (6.5, "Red"),
        "椅子.glb": (7.0, "椅子"),
    }
    assert listing.unknown_scores == ["sofa"]


@pytest.mark.parametrize(("uid", "saved"), [("0001", "1"), ("73928e05", "7.3928E+09"), ("007", "7.0")])
def test_folder_table_points_at_a_uid_that_was_taken_for_a_number(tmp_path: Path, uid: str, saved: str) -> None:
    write(tmp_path, {f"{uid}.glb": glb(), "scores.csv": f"uid,aesthetic_score\n{saved},5\n"})
    with pytest.raises(ValueError, match=rf"{re.escape(saved)} may be {uid}, which a spreadsheet program took"):
        FolderSource(folder_config(tmp_path), 0).listing()


def test_folder_table_of_other_objects_raises_naming_both(tmp_path: Path) -> None:
    write(tmp_path, {"chair.glb": glb(), "scores.csv": "uid,aesthetic_score\nsofa,5\nlamp,5\n"})
    with pytest.raises(ValueError, match=r"scores\.csv names 2 objects, such as sofa, lamp, none .* such as chair"):
        FolderSource(folder_config(tmp_path), 0).listing()


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
        "meshes/model.obj": "# an object\nmtllib model.mtl extra.mtl\nv 0 0 0\nusemtl a\nusemtl b\n",
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
    write(tmp_path, {"secret.png": b"secret", "in/a.mtl": f"newmtl m\nmap_Kd {tmp_path}/secret.png\n"})
    absolute = json.dumps({"buffers": [{"uri": str(tmp_path / "secret.png")}]})
    inside = {
        "a.gltf": (json.dumps({"images": [{"uri": "../secret.png"}]}), "secret.png, which lies outside catalog.folder"),
        "b.gltf": (absolute, "secret.png by an absolute path"),
        "a.obj": ("mtllib a.mtl\nusemtl m\n", "secret.png, which lies outside catalog.folder: move it into"),
        "b.obj": ("mtllib ../secret.png\n", "secret.png, which lies outside catalog.folder"),
    }
    for name, (content, reason) in inside.items():
        write(tmp_path / "in", {name: content})
        entry = Entry("a", name, None, "", "", "folder")
        with pytest.raises(FileNotFoundError, match=reason):
            FolderSource(folder_config(tmp_path / "in"), 0).fetch(entry, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    [entry] = source.listing().entries
    with pytest.raises(OSError, match="the limit is 1000") as caught:
        source.fetch(entry, tmp_path / "out", max_bytes=1000)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.skipif(not REAL_OBJECTS.is_dir(), reason="the shared objects are not here")
def test_folder_of_real_objects_lists_and_fetches_all(tmp_path: Path) -> None:
    source = FolderSource(folder_config(REAL_OBJECTS), 0)
    entries = source.listing().entries
    assert len(entries) == sum(path.suffix in (".glb", ".gltf", ".obj") for path in REAL_OBJECTS.rglob("*"))
    for entry in entries:
        assert source.fetch(entry, tmp_path).stat().st_size == (REAL_OBJECTS / entry.location).stat().st_size


def test_folder_formats_of_one_object_are_one_object(tmp_path: Path) -> None:
    files = ("mug/textured.obj", "mug/textured.dae", "mug/nontextured.stl", "a/cup.fbx", "a/cup.usdz", "b/cup.stl")
    packed = ("packed.zip", "packed/box.glb", "alone.zip", "twin.glb", "twin.obj")
    write(tmp_path, dict.fromkeys((*files, *packed), b"x"))
    found = find_objects(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in found.objects.values()} == {
        "mug/textured.obj",
        "a/cup.fbx",
        "b/cup.stl",
        "packed/box.glb",
        "alone.zip",
        "twin.glb",
        "twin.obj",
    }
    assert sorted(row.reason for row in found.turned_away) == [
        "the same object as box.glb beside it, which is used",
        "the same object as cup.fbx beside it, which is used",
        "the same object as textured.obj beside it, which is used",
        "the same object as textured.obj beside it, which is used",
    ]


def test_folder_3d_files_of_unread_kinds_are_rows_unless_the_object_is_there_too(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(("cup.glb", "cup.max", "jug.OFF", "notes.txt", "plans/part.step"), b"x"))
    found = find_objects(tmp_path)
    assert list(found.objects) == ["cup"]
    assert {row.uid: row.reason for row in found.turned_away} == {
        "jug": "of a kind that is not read, .off: convert it to GLB, glTF or OBJ",
        "part": "of a kind that is not read, .step: convert it to GLB, glTF or OBJ",
    }
    (tmp_path / "cup.glb").unlink()
    with pytest.raises(ValueError, match=r"of 3 that look like one the first is of a kind that is not read, \.max"):
        find_objects(tmp_path)
