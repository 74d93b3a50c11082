import math

import numpy as np
import pytest

from render.fov import change_fov


def disc(side: int, radius: float, fov_deg: float) -> np.ndarray:
    """A disc of half-angle atan(radius) around the axis, as a camera with this field of view sees it."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    tangent = math.tan(math.radians(fov_deg) / 2)
    inside = np.hypot(x, y) * tangent < radius
    image = np.zeros((side, side, 4), np.uint8)
    image[inside] = (200, 40, 10, 255)
    return image


@pytest.mark.parametrize(("before", "after"), [(60.0, 49.13), (49.13, 60.0), (60.0, 60.0)])
def test_change_fov_gives_what_the_other_camera_sees(before: float, after: float) -> None:
    changed = change_fov(disc(128, 0.3, before), before, after, 128)
    expected = disc(128, 0.3, after)
    union = (changed[..., 3] > 127) | (expected[..., 3] > 127)
    both = (changed[..., 3] > 127) & (expected[..., 3] > 127)
    assert both.sum() / union.sum() > 0.97
    assert changed[64, 64].tolist() == [200, 40, 10, 255]


def test_change_fov_same_field_and_size_changes_nothing() -> None:
    image = disc(64, 0.2, 60.0)
    assert np.array_equal(change_fov(image, 60.0, 60.0, 64), image)


def test_change_fov_wider_view_is_transparent_where_nothing_was_seen() -> None:
    full = np.full((64, 64, 4), 255, np.uint8)
    wider = change_fov(full, 40.0, 80.0, 64)
    assert wider[0, 0, 3] == 0
    assert wider[32, 32, 3] == 255


def test_change_fov_colour_does_not_darken_at_the_edge_of_the_mask() -> None:
    changed = change_fov(disc(128, 0.3, 60.0), 60.0, 49.13, 64)
    edge = changed[(changed[..., 3] > 60) & (changed[..., 3] < 200)]
    assert len(edge) > 10
    assert np.abs(edge[:, 0].astype(int) - 200).max() <= 3
