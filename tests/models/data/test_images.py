import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.data.background import foreground_mask
from models.data.images import MOST_SIDE, as_rgba, change_fov, crop_to_object
from models.data.pixels import Pixels


def photo(background: tuple[int, int, int] = (230, 230, 228), noise: int = 0) -> Pixels:
    """A red box with a hole in the background's colour, 60 x 80."""
    pixels = np.full((60, 80, 3), background, dtype=np.int64)
    pixels[15:45, 20:60] = (180, 40, 30)
    pixels[25:35, 35:45] = background
    pixels += np.random.default_rng(0).integers(-noise, noise + 1, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 6])
@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (40, 160, 70)])
def test_foreground_mask_finds_the_object_with_its_holes_filled(background: tuple[int, int, int], noise: int) -> None:
    mask = foreground_mask(photo(background, noise)) > 127
    expected = np.zeros((60, 80), dtype=bool)
    expected[15:45, 20:60] = True
    assert (mask == expected).mean() > 0.99


def test_foreground_mask_of_a_background_that_is_not_plain_is_refused_with_the_share() -> None:
    pixels = photo()
    pixels[:20] = (10, 90, 200)
    with pytest.raises(
        ValueError, match=r"not plain: \d\d% of its border have one colour, 95% are needed; give a mask"
    ):
        foreground_mask(pixels)


def test_foreground_mask_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing but its background"):
        foreground_mask(np.full((20, 20, 3), 200, dtype=np.uint8))


def box(value: int = 255, size: tuple[int, int] = (60, 80)) -> Pixels:
    """A mask of the photo's red box."""
    mask = np.zeros(size, dtype=np.uint8)
    mask[size[0] // 4 : 3 * size[0] // 4, size[1] // 4 : 3 * size[1] // 4] = value
    return mask


def test_as_rgba_takes_the_mask_then_alpha_then_the_background() -> None:
    soft = box()
    soft[15, 20:60] = 130
    rgba = np.dstack([photo(), soft])
    assert (np.asarray(as_rgba(rgba))[..., 3] == soft).all()
    assert (np.asarray(as_rgba(rgba, box()))[..., 3] == box()).all()
    assert as_rgba(photo()).getchannel("A").getextrema() == (0, 255)
    grey = Image.fromarray(photo()).convert("L")
    assert as_rgba(grey).mode == "RGBA"
    palette = Image.fromarray(rgba).quantize()
    assert np.abs(np.asarray(as_rgba(palette))[..., 3].astype(int) - soft).max() < 20


def test_as_rgba_opaque_alpha_is_no_mask() -> None:
    opaque = np.dstack([photo(), np.full((60, 80), 255, dtype=np.uint8)])
    assert as_rgba(opaque) == as_rgba(photo())


def test_as_rgba_photo_that_exif_turns_comes_out_upright_with_its_mask() -> None:
    upright = Image.fromarray(photo())
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.getexif()[0x0112] = 6
    mask = Image.fromarray(box())
    assert as_rgba(stored, mask) == as_rgba(upright, mask)
    with pytest.raises(ValueError, match=r"the mask is 60 x 80 and its image 80 x 60; .* turn it too"):
        as_rgba(stored, mask.transpose(Image.Transpose.ROTATE_90))


def test_foreground_mask_noise_far_from_the_object_is_no_part_of_it() -> None:
    pixels = photo()
    pixels[3, 70] = pixels[50, 5] = (90, 90, 90)
    mask = foreground_mask(pixels)
    assert mask[3, 70] == mask[50, 5] == 0
    assert mask[30, 30] == 255


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.1, 1))
def test_crop_to_object_takes_its_share_of_a_square_and_stays_whole(height: int, width: int, share: float) -> None:
    pixels = np.zeros((60, 80, 4), dtype=np.uint8)
    pixels[5 : 5 + height, 30 : 30 + width] = 255
    square = crop_to_object(Image.fromarray(pixels), share)
    assert square.width == square.height
    alpha = np.asarray(square)[..., 3] > 0
    assert alpha.sum() == height * width
    assert square.width == math.ceil(max(height, width) / share)
    rows, columns = np.nonzero(alpha)
    assert abs(rows.min() + rows.max() + 1 - square.height) <= 1
    assert abs(columns.min() + columns.max() + 1 - square.width) <= 1


def test_crop_to_object_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share is 1.2; .* at most 1"):
        crop_to_object(Image.new("RGBA", (8, 8)), 1.2)


def test_crop_to_object_and_change_fov_of_a_large_image_stay_small_and_keep_the_ratio() -> None:
    image = Image.new("RGBA", (1200, 900), (255, 0, 0, 0))
    image.paste((0, 200, 0, 255), (100, 300, 1100, 700))
    square = crop_to_object(image, 0.01)  # 100,000 pixels wide otherwise, 40 GB
    assert square.size == (MOST_SIDE, MOST_SIDE)
    left, top, right, bottom = square.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox() or (0,) * 4
    assert (right - left, bottom - top) == pytest.approx((0.01 * MOST_SIDE, 0.004 * MOST_SIDE), abs=2)
    assert (left + right, top + bottom) == pytest.approx((MOST_SIDE, MOST_SIDE), abs=3)
    assert square.getpixel((MOST_SIDE // 2, MOST_SIDE // 2)) == (0, 200, 0, 255)
    wide = change_fov(crop_to_object(image, 1), 10, 60)
    assert wide.size == (MOST_SIDE, MOST_SIDE)
    left, _, right, _ = wide.getchannel("A").getbbox() or (0,) * 4
    tangents = math.tan(math.radians(5)) / math.tan(math.radians(30))
    assert (right - left) / MOST_SIDE == pytest.approx(tangents, abs=0.002)


def test_change_fov_to_a_wider_angle_the_object_is_smaller_by_the_ratio_of_tangents() -> None:
    disc = np.zeros((200, 200, 4), dtype=np.uint8)
    disc[50:150, 50:150] = 255
    wide = change_fov(Image.fromarray(disc), 49.13, 60)
    share = (np.asarray(wide)[..., 3] > 0).any(axis=0).mean()
    assert share == pytest.approx(0.5 * math.tan(math.radians(49.13 / 2)) / math.tan(math.radians(30)), abs=0.01)
    back = change_fov(wide, 60, 49.13)
    assert abs(back.width - 200) <= 2
    with pytest.raises(ValueError, match="field of view is 0"):
        change_fov(wide, 0, 60)
