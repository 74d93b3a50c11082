import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from render.cameras import Camera, project
from render.passes import Floats
from tasks.commands.export.nerf import transforms
from tasks.commands.export.source import Source
from tests.tasks.commands.export.sets import export, seal_objects, sphere_view
from tests.tasks.small_views import SIDE, cameras_of, picture, write_small_views


@pytest.fixture
def views(tmp_path: Path) -> Path:
    return write_small_views(tmp_path)


def nerf_pixel(frame: dict[str, Any], point: Floats) -> tuple[float, float]:
    """Where a NeRF tool sees a world point: x right, y down, the camera looks along its -z."""
    world_from_camera = np.array(frame["transform_matrix"])
    x, y, z = np.linalg.inv(world_from_camera)[:3] @ [*point, 1]
    return frame["cx"] + frame["fl_x"] * x / -z, frame["cy"] - frame["fl_y"] * y / -z


def test_export_every_frame_sees_a_point_where_our_camera_does() -> None:
    cameras = [Camera("a", 30, 20, 1.5, 60), Camera("b", 200, -10, 2.0, 49.13)]
    table = transforms(cameras, [64, 64])
    point = np.array([0.2, -0.1, 0.3])
    for camera, frame in zip(cameras, table["frames"], strict=True):
        pixels, _ = project(camera, point[None], 64)
        assert nerf_pixel(frame, point) == pytest.approx(tuple(pixels[0]))


def test_export_views_of_several_sizes_have_their_own_intrinsics() -> None:
    cameras = [Camera("a", 30, 20, 1.5, 60), Camera("r00", 200, -10, 2.0, 60)]
    table = transforms(cameras, [64, 16])
    assert "w" not in table
    point = np.array([0.2, -0.1, 0.3])
    for camera, frame, side in zip(cameras, table["frames"], (64, 16), strict=True):
        assert frame["w"] == frame["h"] == side
        assert nerf_pixel(frame, point) == pytest.approx(tuple(project(camera, point[None], side)[0][0]))


def test_export_shared_angle_stands_at_the_top_and_different_ones_do_not() -> None:
    one = transforms([Camera("a", 0, 0, 1.5, 60), Camera("b", 9, 0, 1.5, 60)], [8, 8])
    assert one["camera_angle_x"] == pytest.approx(math.pi / 3)
    assert one["frames"][0]["fl_x"] == pytest.approx(4 / math.tan(math.pi / 6))
    assert "camera_angle_x" not in transforms([Camera("a", 0, 0, 1.5, 60), Camera("b", 9, 0, 1.5, 49)], [8, 8])


def test_export_writes_every_object_with_its_pictures_unchanged(views: Path, tmp_path: Path) -> None:
    export(Source.open(views), "nerf", tmp_path / "nerf")
    assert {path.name for path in (tmp_path / "nerf").iterdir()} == {"o0", "o1", "o2", "o3", "export.json"}
    table = json.loads((tmp_path / "nerf/o1/transforms.json").read_text())
    assert (table["w"], table["h"]) == (SIDE, SIDE)
    assert [frame["file_path"] for frame in table["frames"]] == [f"{camera.name}.png" for camera in cameras_of(1)]
    shown = np.array(Image.open(tmp_path / "nerf/o1/c01.png"))
    np.testing.assert_array_equal(shown, picture(1, cameras_of(1)[9]))


def test_export_depth_and_normals_are_those_that_were_rendered(tmp_path: Path) -> None:
    camera = Camera("t00", 30, 20, 1.5, 60)
    export(Source.open(seal_objects(tmp_path, {"a": [camera]}, passes=True)), "nerf", tmp_path / "nerf")
    table = json.loads((tmp_path / "nerf/a/transforms.json").read_text())
    (frame,), view = table["frames"], sphere_view(camera)
    depth = np.array(Image.open(tmp_path / "nerf/a" / frame["depth_file_path"])) * table["integer_depth_scale"]
    assert view.depth is not None
    assert view.normal is not None
    np.testing.assert_allclose(depth, view.depth, atol=1e-4)
    colours = np.array(Image.open(tmp_path / "nerf/a" / frame["normal_file_path"])).astype(float)
    seen = view.rgba[..., 3] > 0
    np.testing.assert_allclose((colours[seen] - 128) / 127, view.normal[seen], atol=0.01)
