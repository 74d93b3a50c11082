"""GrabCut from a box, on photos whose object is known."""

import io

import numpy as np
import pytest
from PIL import Image

from models.data.grabcut import GRABCUT_SIDE, cut_in_box
from models.data.pixels import Pixels


def street(scale: int = 1) -> tuple[Pixels, np.ndarray]:
    """A mug with a handle, whose hole shows what is behind it, before tiles of eight colours; and where it is."""
    y, x = np.mgrid[: 240 * scale, : 320 * scale] / scale
    rng = np.random.default_rng(3)
    colours = rng.integers(40, 200, (8, 3)) * [0.5, 1.0, 0.8]
    pixels = np.kron(colours[rng.integers(0, 8, (12, 16))], np.ones((20 * scale, 20 * scale, 1)))
    body = (np.abs(x - 150) < 50) & (np.abs(y - 125) < 65)
    ring = np.hypot(x - 205, y - 125)
    mug = body | ((ring < 38) & (ring > 22) & (x > 190))
    pixels[mug] = (np.array([240, 90, 60]) * (1 - np.abs(x - 140)[..., None] / 260))[mug]
    pixels += rng.normal(0, 4, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8), mug


def overlap(mask: Pixels, truth: np.ndarray) -> float:
    return float(((mask > 127) & truth).sum() / ((mask > 127) | truth).sum())


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.slow(seconds=2)
def test_grabcut_finds_the_object_before_a_busy_background(scale: int) -> None:
    photo, truth = street(scale)
    assert (scale == 4) == (max(photo.shape) > GRABCUT_SIDE)
    left, top, right, bottom = (scale * edge for edge in (90, 50, 255, 200))
    mask = cut_in_box(photo, (left, top, right, bottom))
    assert mask.shape == photo.shape[:2]
    assert overlap(mask, truth) > 0.93
    assert mask[125 * scale, 210 * scale] == 0  # the hole of the handle
    assert not mask[:, : left - 4].any()


def test_grabcut_before_a_background_without_any_noise_follows_the_edge() -> None:
    y, x = np.mgrid[:150, :200]
    ball = np.hypot(x - 100, y - 75) < 40
    photo = np.where(ball[..., None], (200, 60, 40), (240, 240, 240)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(photo).save(file, format="JPEG")
    found = cut_in_box(np.asarray(Image.open(file)), (50, 25, 150, 125))
    assert overlap(found, ball) > 0.97


def test_grabcut_of_equal_photos_gives_equal_masks_whatever_ran_before() -> None:
    photo, _ = street()
    first = cut_in_box(photo, (90, 50, 255, 200))
    cut_in_box(photo[::-1].copy(), (60, 30, 255, 200))
    assert (cut_in_box(photo, (90, 50, 255, 200)) == first).all()


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 320, 240), "covers the whole 320 x 240 image"),
        ((-50, -50, 999, 999), "covers the whole"),
        ((400, 10, 500, 90), "holds no pixels of the 320 x 240 image"),
        ((200, 10, 100, 90), "holds no pixels"),
        ((float("-inf"), 10, 100, 90), "the box -inf,10,100,90 has edges that are not finite; give X0,Y0,X1,Y1 inside"),
        ((0, 10, float("nan"), 90), "the box 0,10,nan,90 has edges that are not finite"),
    ],
)
def test_grabcut_box_that_holds_nothing_or_everything_is_refused(
    box: tuple[float, float, float, float], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        cut_in_box(street()[0], box)


def test_grabcut_box_and_sentence_are_in_pixels_of_the_full_photo() -> None:
    photo, truth = street()
    assert overlap(cut_in_box(photo, (900, 500, 2550, 2000), (3200, 2400)), truth) > 0.93
    with pytest.raises(ValueError, match="the box 3300,10,3900,90 holds no pixels of the 3200 x 2400 image"):
        cut_in_box(photo, (3300, 10, 3900, 90), (3200, 2400))


def test_grabcut_where_nothing_stands_out_says_so() -> None:
    with pytest.raises(ValueError, match="GrabCut finds nothing in the box 10,10,50,50"):
        cut_in_box(np.full((60, 80, 3), 128, dtype=np.uint8), (10, 10, 50, 50))
