import subprocess
import sys

import pytest

from tests.project_copy import ROOT

pytestmark = [pytest.mark.blender, pytest.mark.slow(seconds=6)]
pytest.importorskip("bpy")

LEFT_OVER = """
import ctypes, sys
from render.blender.scene import bpy
ctypes.pythonapi.Py_IncRef(ctypes.py_object(bpy))  # as what is never collected refers to it
ctypes.CDLL(None).printf(b"by C, ")
print("by Python")
sys.exit(3)
"""


def test_process_in_which_something_still_refers_to_blender_ends_with_its_status() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_OVER], capture_output=True, cwd=ROOT, check=False, timeout=120, text=True
    )
    assert ended.returncode == 3
    assert "by Python" in ended.stdout
    assert "by C" in ended.stdout
