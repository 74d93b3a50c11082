import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from render.images import DARK, LIGHT, MARGIN_PX, Rgba, contact_sheet, coverage, decode_png, encode_png

rgba_images = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(4)))


@given(rgba_images)
def test_png_any_image_comes_back_exactly_and_in_the_same_bytes(rgba: Rgba) -> None:
    content = encode_png(rgba)
    np.testing.assert_array_equal(decode_png(content), rgba)
    assert encode_png(rgba.copy()) == content


def test_coverage_half_a_image_is_one_half() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    assert coverage(rgba) == 0
    rgba[:2, :, 3] = 255
    assert coverage(rgba) == 0.5


def plain(colour: int | tuple[int, ...], side: int = 16) -> Rgba:
    return np.full((side, side, 4), colour, np.uint8)


def test_contact_sheet_three_images_in_two_columns_lie_in_rows() -> None:
    red, green, blue = plain((255, 0, 0, 255)), plain((0, 255, 0, 255)), plain((0, 0, 255, 255))
    sheet = contact_sheet([red, green, blue], columns=2)
    step = 16 + MARGIN_PX
    assert sheet.shape == (2 * step + MARGIN_PX, 2 * step + MARGIN_PX, 4)
    assert (sheet[..., 3] == 255).all()
    middle = MARGIN_PX + 8
    assert sheet[middle, middle].tolist() == [255, 0, 0, 255]
    assert sheet[middle, middle + step].tolist() == [0, 255, 0, 255]
    assert sheet[middle + step, middle].tolist() == [0, 0, 255, 255]
    assert sheet[middle + step, middle + step].tolist() == [255, 255, 255, 255]


def test_contact_sheet_transparent_image_shows_the_checkerboard() -> None:
    sheet = contact_sheet([plain((9, 9, 9, 0))], columns=1)
    inside = sheet[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX, :3]
    assert set(np.unique(inside)) == {LIGHT, DARK}


def test_contact_sheet_on_white_shows_half_transparent_colours_mixed_with_white() -> None:
    sheet = contact_sheet([plain((9, 9, 9, 0)), plain((0, 100, 255, 51))], columns=2, background="white")
    inside = sheet[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX, :3]
    assert (inside[:, :16] == 255).all()
    assert (inside[:, -16:] == [204, 224, 255]).all()


def test_contact_sheet_labels_are_written_below_their_images() -> None:
    bare, labelled = (contact_sheet([plain((0, 0, 0, 255))], 1, labels=labels) for labels in (None, ["t00"]))
    assert labelled.shape[0] > bare.shape[0]
    assert (labelled[bare.shape[0] - MARGIN_PX :, :, :3] < 128).any()


def test_contact_sheet_labels_wider_than_their_images_do_not_run_into_each_other() -> None:
    images = [plain((0, 0, 255, 255))] * 3
    short, long = (contact_sheet(images, 3, labels=[text, text, text]) for text in ("t", "t07 337.5/-30"))
    assert short.shape[1] == 3 * (16 + MARGIN_PX) + MARGIN_PX
    step = (long.shape[1] - MARGIN_PX) // 3
    below = (long[16 + MARGIN_PX :, :, :3] < 128).any(axis=(0, 2))
    for column in range(1, 4):
        assert not below[column * step : column * step + MARGIN_PX].any(), "a label reaches the next column"
    assert below[:step].any()


def test_contact_sheet_wrong_images_or_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        contact_sheet([plain(0, 16), plain(0, 8)], 2)
    with pytest.raises(ValueError, match="none"):
        contact_sheet([], 2)
    with pytest.raises(ValueError, match="zip"):
        contact_sheet([plain(0)], 2, labels=["a", "b"])
