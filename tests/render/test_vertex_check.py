import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from trimesh.exchange.gltf import export_gltf

from render.vertex_check import has_finite_vertices
from tests.render.toys import write_box

CORNER = struct.pack("<3f", 0.5, 0.3, 0.15)


def spoilt(content: bytes, value: float) -> bytes:
    """The file with one coordinate of a corner of the box replaced."""
    position = content.rindex(CORNER)
    return content[:position] + struct.pack("<f", value) + content[position + 4 :]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_has_finite_vertices_one_bad_coordinate_in_a_glb_is_found(tmp_path: Path, value: float) -> None:
    path = write_box(tmp_path / "box.glb")
    assert has_finite_vertices(path)
    path.write_bytes(spoilt(path.read_bytes(), value))
    assert not has_finite_vertices(path)


@pytest.mark.parametrize("place", ["beside", "inside"])
def test_has_finite_vertices_gltf_buffers_are_read_wherever_they_lie(tmp_path: Path, place: str) -> None:
    (tmp_path / "parts").mkdir()
    for value, expected in ((0.5, True), (np.nan, False)):
        path = write_gltf(tmp_path, place, value)
        assert has_finite_vertices(path) is expected


def write_gltf(folder: Path, place: str, value: float) -> Path:
    files = export_gltf(trimesh.Scene(trimesh.creation.box((1.0, 0.6, 0.3))))
    tree = json.loads(files["model.gltf"])
    for index, buffer in enumerate(tree["buffers"]):
        content = files[buffer["uri"]]
        if CORNER in content:
            content = spoilt(content, value)
        if place == "inside":
            buffer["uri"] = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
        else:
            (folder / "parts" / f"part {index}.bin").write_bytes(content)
            buffer["uri"] = f"parts/part%20{index}.bin"
    path = folder / "model.gltf"
    path.write_text(json.dumps(tree))
    return path
