import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.cameras import Matrix, project
from render.window import MARGIN_PX, PixelWindow, convex_hull, pixel_window
from tests.render.toys import camera

CUBE = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@given(st.floats(0, 360), st.floats(-80, 80), st.floats(1.5, 2.5), st.floats(30, 90), st.integers(0, 2**32 - 1))
def test_window_holds_every_point_with_its_margin(
    azimuth: float, elevation: float, distance: float, fov: float, seed: int
) -> None:
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (40, 3))
    view, side = camera(azimuth, elevation, distance, fov), 128
    part = pixel_window(view, points, side)
    pixels, _ = project(view, points, side)
    inside = pixels[(pixels >= 0).all(axis=1) & (pixels < side).all(axis=1)]
    assert part is not None
    for x, y in inside:
        assert part.left <= max(x - MARGIN_PX + 1, 0)
        assert part.top <= max(y - MARGIN_PX + 1, 0)
        assert min(x + MARGIN_PX - 1, side) <= part.right <= side
        assert min(y + MARGIN_PX - 1, side) <= part.bottom <= side


def test_window_hull_gives_the_same_as_all_points() -> None:
    points = np.random.default_rng(0).normal(0, 0.2, (5000, 3))
    corners = convex_hull(points)
    assert len(corners) < 500
    assert pixel_window(camera(33, 21), corners, 256) == pixel_window(camera(33, 21), points, 256)


def test_window_cube_seen_from_the_front_is_its_near_face() -> None:
    focal = 50 / np.tan(np.radians(30))
    reach = 0.2 * focal / (1.5 - 0.2)
    low, high = int(np.floor(50 - reach)) - MARGIN_PX, int(np.ceil(50 + reach)) + MARGIN_PX
    assert pixel_window(camera(0, 0, 1.5, 60), CUBE * 0.4, 100) == PixelWindow(low, low, high, high)


def test_window_object_outside_the_picture_has_none() -> None:
    assert pixel_window(camera(0, 0, 1.5, 40), CUBE * 0.1 + [0, 5, 0], 64) is None
    assert pixel_window(camera(), np.empty((0, 3)), 64) is None


def test_window_camera_inside_the_object_takes_the_whole_picture() -> None:
    assert pixel_window(camera(0, 0, 0.4), CUBE, 64) == PixelWindow(0, 0, 64, 64)
    assert pixel_window(camera(0, 0, 0.5), CUBE, 64) == PixelWindow(0, 0, 64, 64)


@pytest.mark.parametrize("points", [np.empty((0, 3)), np.zeros((1, 3)), CUBE[:3], CUBE * [1, 1, 0]])
def test_hull_of_what_has_no_volume_is_all_of_it(points: Matrix) -> None:
    np.testing.assert_array_equal(convex_hull(points), points)
