"""Read back as Zero123's loader does (sources: tasks/commands/export/zero123.py)."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.artifacts.views import ViewSet
from tasks.commands.export.source import Source
from tests.tasks.commands.export.sets import POINT, export, our_pixel
from tests.tasks.small_views import SIDE, cameras_of, write_small_views


def position(matrix: np.ndarray) -> tuple[float, float, float]:
    """Polar angle from +Z, azimuth and distance of a camera, from its 3x4 matrix."""
    x, y, z = -matrix[:, :3].T @ matrix[:, 3]
    return math.atan2(math.hypot(x, y), z), math.atan2(y, x), math.sqrt(x * x + y * y + z * z)


@pytest.mark.slow(seconds=2)
def test_zero123_relative_poses_are_the_differences_of_our_angles(tmp_path: Path) -> None:
    views = write_small_views(tmp_path)
    settings = export(Source.open(views), "zero123", tmp_path / "out")
    assert settings == "total_view: 11; field of view 60 deg, which the layout does not hold"
    assert json.loads((tmp_path / "out/valid_paths.json").read_text()) == ["o0", "o1", "o2", "o3"]
    cameras = cameras_of(1)
    matrices = [np.load(tmp_path / f"out/o1/{index:03d}.npy") for index in range(len(cameras))]
    assert {matrix.shape for matrix in matrices} == {(3, 4)}
    given, target = 9, 5
    (theta, azimuth, radius), (theta_t, azimuth_t, radius_t) = position(matrices[given]), position(matrices[target])
    assert theta_t - theta == pytest.approx(
        math.radians(cameras[given].elevation_deg - cameras[target].elevation_deg)
    ), "up is +Z, and theta counts down from it"
    turn = math.radians(cameras[target].azimuth_deg - cameras[given].azimuth_deg)
    assert (azimuth_t - azimuth - turn) % math.tau == pytest.approx(0, abs=1e-9)
    assert radius_t - radius == pytest.approx(cameras[target].distance - cameras[given].distance)


def test_zero123_files_have_our_pixels_and_blenders_axes(tmp_path: Path) -> None:
    views = write_small_views(tmp_path)
    export(Source.open(views, ["o2"]), "zero123", tmp_path / "out")
    focal = SIDE / 2 / math.tan(math.radians(30))
    for index, camera in enumerate(cameras_of(2)):
        image = Image.open(tmp_path / f"out/o2/{index:03d}.png")
        assert image.mode == "RGBA"
        np.testing.assert_array_equal(np.array(image), ViewSet.open(views).image("o2", camera.name))
        x, y, z = np.load(tmp_path / f"out/o2/{index:03d}.npy") @ [*POINT, 1]
        assert [SIDE / 2 - focal * x / z, SIDE / 2 + focal * y / z] == pytest.approx(our_pixel(camera, SIDE))
