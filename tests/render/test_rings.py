"""Which sets of cameras are rings, and where each camera stands in them."""

from pathlib import Path

import numpy as np
import pytest

from flows.params import load_params
from render.cameras import Camera
from render.rings import ring_places
from render.views import sparse_test_cameras, syncdreamer_cameras

PARAMS = Path(__file__).parents[2] / "params.yaml"


def test_paper_targets_are_rings_of_eight_wherever_they_begin() -> None:
    config = load_params(PARAMS).render
    for seed in range(3):
        rng = np.random.default_rng(seed)
        _, targets = sparse_test_cameras(config, conditions=1, azimuth="continuous", rng=rng)
        assert ring_places(targets) == [(row, column) for row in range(4) for column in range(8)]


def test_syncdreamer_views_are_one_ring_of_sixteen_in_any_order() -> None:
    cameras = syncdreamer_cameras()
    assert ring_places(cameras) == [(0, place) for place in range(16)]
    mixed = [cameras[index] for index in (5, 0, 15, *range(1, 5), *range(6, 15))]
    places = ring_places(mixed)
    assert places is not None
    assert places[:4] == [(0, 0), (0, 11), (0, 10), (0, 12)]


@pytest.mark.parametrize(
    "azimuths_deg",
    [
        pytest.param([0, 90, 180], id="a place is empty"),
        pytest.param([0, 90, 180, 271], id="uneven"),
        pytest.param([0, 90, 90, 270], id="two at one place"),
        pytest.param([0], id="one camera"),
    ],
)
def test_cameras_that_are_no_ring_have_no_places(azimuths_deg: list[float]) -> None:
    cameras = [Camera(f"t{index:02d}", azimuth, 20.0, 1.5, 60.0) for index, azimuth in enumerate(azimuths_deg)]
    assert ring_places(cameras) is None


def test_rings_of_different_sizes_have_no_places() -> None:
    cameras = syncdreamer_cameras()
    above = [Camera(f"t{index:02d}", 45.0 * index, 60.0, 1.5, 60.0) for index in range(8)]
    assert ring_places([*cameras, *above]) is None
