"""DVC hashes folders as users have them, and sane ones as it does by itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.versioning import Repository, repro_command
from tests.tiny_repo import copy_repo


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A project whose first stage watches a folder of three files."""
    root = copy_repo(tmp_path / "repo")
    edit(root, "deps: [source.txt]", "deps: [objects]")
    for name in ("a.glb", "deep/b.glb", ".hidden/c.glb"):
        (root / "objects" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "objects" / name).write_text(name)
    return root


def edit(root: Path, old: str, new: str) -> None:
    text = (root / "dvc.yaml").read_text()
    assert old in text
    (root / "dvc.yaml").write_text(text.replace(old, new))


def repro(root: Path, home: Path | None = None) -> str:
    env = os.environ | ({"HOME": str(home)} if home else {})
    done = subprocess.run(
        repro_command("first"), cwd=root, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow(seconds=1)
def test_dvc_sane_folder_has_the_hash_that_dvc_alone_gives_it(repo: Path) -> None:
    repro(repo)
    answer = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "first"],
        cwd=repo,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    assert "up to date" in answer.stdout


@pytest.mark.slow(seconds=2)
def test_dvc_reads_a_folder_of_odd_things_and_sees_changes_behind_links(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "d.glb").write_text("d")
    objects = repo / "objects"
    for name, target in {"more": str(tmp_path / "store"), "gone.glb": "nowhere", "loop": ".", "up": "../.."}.items():
        (objects / name).symlink_to(target)
    for encoded in (b"st\xfchle.glb", b"m\xf6bel/a.glb"):
        path = objects / os.fsdecode(encoded)
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    (objects / "deep" / ".dvcignore").write_text("")
    os.mkfifo(objects / "pipe.glb")
    assert "Running stage 'first'" in repro(repo)
    assert Repository(repo).changes("first") == []
    assert "didn't change" in repro(repo)
    (tmp_path / "store" / "e.glb").write_text("e")
    [change] = Repository(repo).changes("first")
    assert (change.name, change.what) == ("objects", "modified")
    assert "Running stage 'first'" in repro(repo)


@pytest.mark.slow(seconds=1)
def test_dvc_expands_the_home_folder(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.move(repo / "objects", tmp_path / "objects")
    edit(repo, "deps: [objects]", "deps: ['~/objects']")
    assert "Running stage 'first'" in repro(repo)
    assert "path: ~/objects" in (repo / "dvc.lock").read_text(), "no path of this machine"
    assert Repository(repo).changes("first") == []
