import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.__main__ import main
from render.cameras import Camera, project
from render.passes import Floats
from tasks.commands.export import export_nerf, transforms
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
    table = transforms(cameras, side=64)
    point = np.array([0.2, -0.1, 0.3])
    for camera, frame in zip(cameras, table["frames"], strict=True):
        pixels, _ = project(camera, point[None], 64)
        assert nerf_pixel(frame, point) == pytest.approx(tuple(pixels[0]))


def test_export_shared_angle_stands_at_the_top_and_different_ones_do_not() -> None:
    one = transforms([Camera("a", 0, 0, 1.5, 60), Camera("b", 9, 0, 1.5, 60)], 8)
    assert one["camera_angle_x"] == pytest.approx(math.pi / 3)
    assert one["frames"][0]["fl_x"] == pytest.approx(4 / math.tan(math.pi / 6))
    assert "camera_angle_x" not in transforms([Camera("a", 0, 0, 1.5, 60), Camera("b", 9, 0, 1.5, 49)], 8)


def test_export_writes_every_object_with_its_pictures_unchanged(views: Path, tmp_path: Path) -> None:
    folders = export_nerf(views, [], tmp_path / "nerf")
    assert [folder.name for folder in folders] == ["o0", "o1", "o2", "o3"]
    table = json.loads((folders[1] / "transforms.json").read_text())
    assert (table["w"], table["h"]) == (SIDE, SIDE)
    assert [frame["file_path"] for frame in table["frames"]] == [f"{camera.name}.png" for camera in cameras_of(1)]
    shown = np.array(Image.open(folders[1] / "c01.png"))
    np.testing.assert_array_equal(shown, picture(1, cameras_of(1)[9]))
    assert {path.name for path in (tmp_path / "nerf").iterdir()} == {"o0", "o1", "o2", "o3"}


def test_export_unknown_object_and_full_folder_write_nothing(views: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no object mug; it has 4, such as o0"):
        export_nerf(views, ["o1", "mug"], tmp_path / "nerf")
    assert not (tmp_path / "nerf").exists()
    export_nerf(views, ["o1"], tmp_path / "nerf")
    with pytest.raises(ValueError, match=r"o1 exists; export into another folder"):
        export_nerf(views, ["o0", "o1"], tmp_path / "nerf")
    assert not (tmp_path / "nerf" / "o0").exists()


def test_export_interrupted_leaves_no_half_object(views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *words[2:])

    monkeypatch.setattr("tasks.commands.export.transforms", full)
    with pytest.raises(OSError, match="No space left"):
        export_nerf(views, ["o0"], tmp_path / "nerf")
    assert not list((tmp_path / "nerf").iterdir())


def test_export_is_a_verb_of_the_command_line(views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(views), "--uid", "o2", "--out", str(tmp_path / "nerf")]) == 0
    assert "o2" in capsys.readouterr().out
    assert (tmp_path / "nerf/o2/transforms.json").exists()
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "again")]) == 2
    assert "manifest.json" in capsys.readouterr().err
