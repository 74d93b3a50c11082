import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.execution import process_folder
from infra.execution.process_folder import ProcessFolder, sweep

OWNER = """
from infra.execution.process_folder import ProcessFolder
folder = ProcessFolder()
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(process_folder, "PLACE", tmp_path)
    return tmp_path


def test_session_folder_is_there_until_it_is_removed(place: Path) -> None:
    folder = ProcessFolder()
    assert folder.temporary.is_dir()
    (folder.temporary / "blender_x").mkdir()
    folder.remove()
    assert list(place.iterdir()) == []


def test_sweep_spares_a_living_owner_and_clears_after_a_killed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdin is not None
    path = Path(owner.stdout.readline().strip())
    monkeypatch.setattr(process_folder, "PLACE", path.parent)
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
    (place / "mvdpp-unfinished").mkdir()
    (place / "other").mkdir()
    sweep()
    assert {path.name for path in place.iterdir()} == {"mvdpp-unfinished", "other"}
