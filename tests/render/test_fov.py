import math

import cv2
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from render.fov import change_fov
from render.resample import resample


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


def test_change_fov_to_fewer_pixels_is_the_exact_mean_over_each_area() -> None:
    """The central 50.7 of 64 px brought to 32, of noise: by the integral over the image, which is bilinear."""
    rng = np.random.default_rng(0)
    image = np.concatenate([rng.integers(0, 256, (64, 64, 3)), np.full((64, 64, 1), 255)], axis=2).astype(np.uint8)
    half = 32 * (16 / 35) / math.tan(math.radians(30))
    integral = np.pad(image[..., 0].astype(float).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    edges = np.linspace(32 - half, 32 + half, 33)
    corners = RegularGridInterpolator((np.arange(65), np.arange(65)), integral)(np.stack(np.meshgrid(edges, edges), -1))
    expected = np.diff(np.diff(corners, axis=0), axis=1).T / (2 * half / 32) ** 2
    assert np.abs(change_fov(image, 60.0, 2 * math.degrees(math.atan(16 / 35)), 32)[..., 0] - expected).max() < 0.51


def test_resample_is_opencvs_area_average_of_what_is_covered() -> None:
    image = disc(96, 0.3, 60.0)
    small = resample(image, 28)
    premultiplied = image.astype(np.float32) * (image[..., 3:] / 255)
    premultiplied[..., 3] = image[..., 3]
    expected = cv2.resize(premultiplied, (28, 28), interpolation=cv2.INTER_AREA)
    assert np.abs(small[..., 3] - expected[..., 3]).max() <= 0.51
    covered = small[..., 3] > 20
    assert np.abs(small[covered][:, :3] - np.array([200, 40, 10])).max() <= 1
    assert resample(image, 96) is image
