from typing import Literal

import numpy as np
import pytest

from render.views import condition_cameras, ring_cameras, sparse_test_cameras, target_cameras
from tests.render.toys import toy_config


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_target_cameras_paper_grid_is_32_views_with_elevations_outer_and_azimuths_inner() -> None:
    cameras = target_cameras(toy_config())
    assert [camera.name for camera in cameras] == [f"t{index:02d}" for index in range(32)]
    assert [camera.azimuth_deg for camera in cameras[:8]] == [0, 45, 90, 135, 180, 225, 270, 315]
    assert [camera.elevation_deg for camera in cameras[::8]] == [-30, 0, 30, 60]
    assert {(camera.distance, camera.fov_deg) for camera in cameras} == {(1.5, 60)}


def test_condition_cameras_many_lie_on_the_grid_and_fill_their_ranges() -> None:
    cameras = condition_cameras(toy_config(conditions=100), rng())
    assert {camera.azimuth_deg for camera in cameras} == {0, 45, 90, 135, 180, 225, 270, 315}
    elevations = [camera.elevation_deg for camera in cameras]
    distances = [camera.distance for camera in cameras]
    assert -10 <= min(elevations) < -5
    assert 40 < max(elevations) <= 45
    assert 1.5 <= min(distances) < 1.55
    assert 2.15 < max(distances) <= 2.2


def test_condition_cameras_asking_for_more_leaves_the_first_ones_alone() -> None:
    few, many = (condition_cameras(toy_config(conditions=count), rng()) for count in (3, 9))
    assert many[:3] == few
    assert condition_cameras(toy_config(conditions=3), rng(1)) != few


@pytest.mark.parametrize("azimuth", ["grid", "continuous"])
def test_sparse_test_cameras_targets_begin_at_the_first_conditions_azimuth(
    azimuth: Literal["grid", "continuous"],
) -> None:
    config = toy_config()
    for seed in range(5):
        given, targets = sparse_test_cameras(config, conditions=4, azimuth=azimuth, rng=rng(seed))
        assert [camera.name for camera in given] == ["c00", "c01", "c02", "c03"]
        assert len(targets) == 32
        assert targets[0].azimuth_deg == pytest.approx(given[0].azimuth_deg)
        turns = (np.array([camera.azimuth_deg for camera in targets[:8]]) - targets[0].azimuth_deg) % 360
        np.testing.assert_allclose(turns, np.arange(8) * 45)
        assert all(0 <= camera.azimuth_deg < 360 for camera in targets)
        assert all((camera.azimuth_deg % 45 == 0) is (azimuth == "grid") for camera in given)


def test_sparse_test_cameras_none_given_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        sparse_test_cameras(toy_config(), conditions=0, azimuth="grid", rng=rng())


def test_ring_cameras_syncdreamers_protocol_is_every_22_5_degrees() -> None:
    cameras = ring_cameras(views=16, elevation_deg=30, fov_deg=49.13, distance=1.5)
    assert [camera.azimuth_deg for camera in cameras] == [22.5 * index for index in range(16)]
    assert [camera.name for camera in cameras][::15] == ["r00", "r15"]
    assert {(camera.elevation_deg, camera.fov_deg, camera.distance) for camera in cameras} == {(30, 49.13, 1.5)}
