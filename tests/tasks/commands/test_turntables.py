"""Turntables of views."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.commands.turntables import GIF, MP4, WEBP

WRITE = """
import sys
from pathlib import Path

import pytest
import numpy as np
from render.cameras import Camera
from tasks.commands.turntables import write_turntables

side = 32
y, x = np.mgrid[:side, :side]
cameras = [Camera(f"t{k:02d}", 45.0 * k, 0.0, 1.5, 60.0) for k in range(8)]
colours = [(np.stack([x, y, x + y], axis=-1) * 128 / side + 5 * k).astype(np.uint8) for k in range(8)]
opaque = np.full((side, side), 255, np.uint8)
write_turntables(Path(sys.argv[1]), cameras, [np.dstack([colour, opaque]) for colour in colours])
"""


@pytest.mark.slow(seconds=2)
def test_turntables_of_equal_views_are_equal_files_whatever_lay_in_memory_before(tmp_path: Path) -> None:
    """The C library fills memory that is asked for by MALLOC_PERTURB_, as what ran before fills it by chance."""
    for filled in ("0", "77", "200"):
        folder = tmp_path / filled
        folder.mkdir()
        env = os.environ | {"MALLOC_PERTURB_": filled}
        subprocess.run([sys.executable, "-c", WRITE, str(folder)], env=env, check=True, timeout=300)
    for name in (GIF, WEBP, MP4):
        assert len({(tmp_path / filled / name).read_bytes() for filled in ("0", "77", "200")}) == 1, name
