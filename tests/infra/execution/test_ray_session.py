import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.execution import ray_session
from infra.execution.ray_session import SessionFolder, sweep

OWNER = "from infra.execution.ray_session import SessionFolder; s = SessionFolder(); print(s.path, flush=True); input()"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ray_session, "PLACE", tmp_path)
    return tmp_path


def test_session_folder_is_there_until_it_is_removed(place: Path) -> None:
    folder = SessionFolder()
    assert folder.temporary.is_dir()
    (folder.temporary / "blender_x").mkdir()
    folder.remove()
    assert list(place.iterdir()) == []


def test_sweep_spares_a_living_owner_and_clears_after_a_killed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdin is not None
    path = Path(owner.stdout.readline().strip())
    monkeypatch.setattr(ray_session, "PLACE", path.parent)
    try:
        sweep()
        assert (path / "lock").exists()
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.communicate(timeout=600)
    assert path.exists()
    sweep()
    assert not path.exists()


def test_sweep_leaves_what_is_not_a_session(place: Path) -> None:
    (place / "mvdpp-ray-unfinished").mkdir()
    (place / "other").mkdir()
    sweep()
    assert {path.name for path in place.iterdir()} == {"mvdpp-ray-unfinished", "other"}
