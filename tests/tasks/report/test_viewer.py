"""Meshes that turn in the browser: decimated within bounds, unpacked as the page's script unpacks them."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest
import trimesh

import tasks.report
from models.reconstruction.mesh import Mesh
from tasks.report.viewer import MAX_FACES, MIN_FACES, STEPS, decimated, face_budget, packed, three_js, turning_mesh


@pytest.fixture(scope="module")
def sphere() -> Mesh:
    """A ball of 20,480 faces, red above and blue below."""
    ball = trimesh.creation.icosphere(5, 0.5)
    vertices = np.asarray(ball.vertices, np.float32)
    colours = np.where(vertices[:, 2:] > 0, [200, 0, 0], [0, 0, 200]).astype(np.uint8)
    return Mesh(vertices, np.asarray(ball.faces, np.int32), colours)


def test_decimated_mesh_keeps_shape_colour_and_winding_within_its_faces(sphere: Mesh) -> None:
    small = decimated(sphere, 3000)
    assert 1500 < len(small.faces) <= 3000
    np.testing.assert_allclose(np.linalg.norm(small.vertices, axis=1), 0.5, atol=0.01)
    assert trimesh.Trimesh(small.vertices, small.faces, process=False).volume == pytest.approx(np.pi / 6, rel=0.02)
    top, bottom = small.vertices[:, 2] > 0.05, small.vertices[:, 2] < -0.05
    assert (small.colours[top] == [200, 0, 0]).all()
    assert (small.colours[bottom] == [0, 0, 200]).all()
    assert decimated(sphere, len(sphere.faces)) is sphere


def test_packed_mesh_comes_back(sphere: Mesh) -> None:
    turning = turning_mesh(sphere, "ball", 1000)
    small = decimated(sphere, 1000)
    content = base64.b64decode(turning.data)
    vertices, faces = np.frombuffer(content, "<u4", 2)
    positions = np.frombuffer(content, "<i2", 3 * vertices, 8).reshape(-1, 3) / STEPS
    indices = np.frombuffer(content, "<u2", 3 * faces, 8 + 6 * vertices).reshape(-1, 3)
    colours = np.frombuffer(content, "u1", 3 * vertices, 8 + 6 * vertices + 6 * faces).reshape(-1, 3)
    np.testing.assert_allclose(positions[indices], small.vertices[small.faces], atol=1 / STEPS)
    np.testing.assert_array_equal(colours[indices], small.colours[small.faces])
    assert turning.faces == faces == len(small.faces)


def test_face_budget_shares_the_bytes_within_bounds(sphere: Mesh) -> None:
    assert face_budget(10**9, 1) == MAX_FACES
    assert face_budget(1, 10) == MIN_FACES
    faces = face_budget(600_000, 10)
    assert 0.5 * 60_000 < len(packed(decimated(sphere, faces))) < 1.3 * 60_000


def test_three_js_is_whole_and_the_page_script_uses_what_it_has() -> None:
    library = three_js()
    assert "Three.js Authors" in library
    assert "SPDX-License-Identifier: MIT" in library
    script = (Path(tasks.report.__file__).parent / "templates" / "viewer.js").read_text()
    used = set(re.findall(r"THREE\.(\w+)", script))
    assert used
    assert not [name for name in used if f"t.{name}=" not in library]
