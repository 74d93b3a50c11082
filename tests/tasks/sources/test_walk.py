"""What is found below a folder: links, loops, hidden files, names of other encodings, closed doors."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tasks.sources.walk import readable, walk

SUFFIXES = (".glb", ".obj")


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_walk_finds_files_by_ending_and_passes_over_hidden_folders(tmp_path: Path) -> None:
    write(tmp_path, "b/c.GLB", "a.obj", "notes.txt", ".hidden/a.glb", "__MACOSX/._a.glb", "b/._c.glb", "a, b\n\tc.glb")
    found = walk(tmp_path, SUFFIXES)
    assert found.objects == ["a, b\n\tc.glb", "a.obj", "b/c.GLB"]
    assert found.faults == {}


def test_walk_hidden_object_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, ".chair.glb", "lamp.glb")
    found = walk(tmp_path, SUFFIXES)
    assert found.objects == ["lamp.glb"]
    assert found.faults == {".chair.glb": "hidden, because its name begins with a dot: rename it"}


def test_walk_follows_links_to_folders_and_files_once_each(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "real/a.glb", "z.glb")
    write(tmp_path, "store/000/b.glb", "blobs/0a1b")
    for name, target in {
        "a_link": "real",
        "loop": ".",
        "real/up": "../..",
        "self": "self",
        "more": "../store",
        "again": "../store/000",
        "c.glb": "../blobs/0a1b",
        "d.glb": "z.glb",
    }.items():
        (root / name).symlink_to(target)
    found = walk(root, SUFFIXES)
    assert found.objects == ["again/b.glb", "c.glb", "real/a.glb", "z.glb"]
    assert found.faults == {
        "d.glb": "a link to the same file as z.glb, which is used",
        "self": "a link to self, which cannot be followed (Too many levels of symbolic links)",
    }


def test_walk_broken_links_are_faults_with_target_and_remedy(tmp_path: Path) -> None:
    for name, target in {
        "gone.glb": "nowhere/gone.glb",
        "folder": "../elsewhere",
        "wood.png": "nowhere.png",
        "annexed.obj": ".git/annex/objects/1/2/SHA256E-s1--3.obj",
    }.items():
        (tmp_path / name).symlink_to(target)
    assert walk(tmp_path, SUFFIXES).faults == {
        "annexed.obj": "its content is not here (git-annex): fetch it with `git annex get` or `datalad get`",
        "folder": "a link to ../elsewhere, which is not there",
        "gone.glb": "a link to nowhere/gone.glb, which is not there",
    }


def test_walk_names_that_are_not_utf8_are_faults_and_harm_no_other(tmp_path: Path) -> None:
    write(tmp_path, "chair.glb")
    write(tmp_path, *(os.fsdecode(name) for name in (b"st\xfchle.glb", b"textur\xe9.png", b"m\xf6bel/a.glb")))
    found = walk(tmp_path, SUFFIXES)
    assert found.objects == ["chair.glb"]
    assert {readable(path): reason for path, reason in found.faults.items()} == {
        r"m\xf6bel/a.glb": r"its path m\xf6bel/a.glb is not UTF-8: rename it, for example with convmv",
        r"st\xfchle.glb": r"its path st\xfchle.glb is not UTF-8: rename it, for example with convmv",
    }


def test_walk_what_is_no_file_is_a_fault_and_a_folder_with_an_ending_is_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.glb")
    write(tmp_path, "chair.obj/chair.obj")
    found = walk(tmp_path, SUFFIXES)
    assert found.objects == ["chair.obj/chair.obj"]
    assert found.faults == {"pipe.glb": "neither a file nor a folder"}


AS_NOBODY = """
import os, sys
from pathlib import Path
from tasks.sources.walk import walk
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
print(walk(Path(sys.argv[1]), (".glb",)))
"""


def test_walk_folder_that_may_not_be_read_is_a_fault() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # those of pytest are closed to others
        root = Path(name)
        root.chmod(0o755)
        write(root, "open/a.glb", "closed/b.glb")
        (root / "closed").chmod(0)
        command = [sys.executable, "-c", AS_NOBODY, name]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        (root / "closed").chmod(0o755)
    assert "objects=['open/a.glb']" in said
    assert "{'closed': 'the folder closed cannot be read (Permission denied): open it with chmod'}" in said


def test_walk_of_an_unreadable_root_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        walk(tmp_path / "nowhere", SUFFIXES)
