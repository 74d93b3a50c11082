"""Forms in which programs write glTF files that Blender's importer takes to the letter, or stumbles at."""

import base64
import io
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from render.device import Machine
from render.errors import Unrenderable
from render.placement import normalize_bounds
from tests.render.gltf_files import GREEN, Gltf, box
from tests.render.test_gltf_import import inspect, is_colour, sizes, two_boxes
from tests.render.toys import camera, toy_config, write_box

pytestmark = pytest.mark.blender
objects = pytest.importorskip("render.blender.objects")
shots = pytest.importorskip("render.blender.views")


def test_container_is_told_by_the_content_not_by_the_name(tmp_path: Path) -> None:
    """A JSON document called .glb, with its buffer beside it, and a binary file called .gltf."""
    gltf = two_boxes()
    (tmp_path / "object.bin").write_bytes(gltf.write_beside(tmp_path / "object.glb", "object.bin"))
    assert sizes(objects.inspect(tmp_path / "object.glb")) == [6, 1, 1]
    write_box(tmp_path / "box.glb").rename(tmp_path / "box.gltf")
    assert objects.inspect(tmp_path / "box.gltf").num_faces == 12


def test_version_that_is_a_number_is_read_and_another_one_named(tmp_path: Path) -> None:
    gltf = two_boxes()
    gltf.document["asset"]["version"] = 2.0
    assert sizes(inspect(gltf, tmp_path)) == [6, 1, 1]
    gltf.document["asset"]["version"] = 1.0
    with pytest.raises(Unrenderable, match=r"is of glTF version 1\.0, and only 2\.0 is read"):
        inspect(gltf, tmp_path)


def test_data_that_are_written_in_other_forms_are_read(tmp_path: Path) -> None:
    """Without padding and with escapes; in the alphabet for URLs."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (0, 200, 0)).save(content, "PNG")
    gltf = Gltf()
    gltf.add("images", {"uri": "data:image/png;base64," + quote(base64.b64encode(content.getvalue()).rstrip(b"="))})
    gltf.add("textures", {"source": 0})
    surface = {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0}
    corners = gltf.accessor(np.full((8, 2), 0.5, dtype=np.float32))
    gltf.node(gltf.mesh(box(1), gltf.add("materials", {"pbrMetallicRoughness": surface}), TEXCOORD_0=corners))
    buffer = base64.urlsafe_b64encode(gltf.content).decode().rstrip("=")
    path = tmp_path / "object.gltf"
    gltf.write_beside(path, f"data:application/gltf-buffer;base64,{buffer}")
    report = objects.inspect(path)
    placement = normalize_bounds(report.minimum, report.maximum, 1.0)
    (view,) = shots.render_views(path, placement, [camera(270)], toy_config(), uid="a", seed=0, machine=Machine(1))
    assert is_colour([int(value) for value in view.rgba[32, 32]], GREEN)


def test_file_at_which_the_importer_stumbles_has_a_remedy(tmp_path: Path) -> None:
    gltf = two_boxes()
    gltf.document["accessors"][0]["componentType"] = 5130
    with pytest.raises(Unrenderable, match="KeyError: 5130; it is damaged or no valid glTF: export it again"):
        inspect(gltf, tmp_path)
