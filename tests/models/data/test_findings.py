"""What a mask tells about a photo."""

import numpy as np
import pytest
from PIL import Image

from models.data.findings import findings


def mask(*boxes: tuple[int, int, int, int]) -> Image.Image:
    """White rectangles (top, bottom, left, right) on 100 x 80 pixels."""
    pixels = np.zeros((80, 100), np.uint8)
    for top, bottom, left, right in boxes:
        pixels[top:bottom, left:right] = 255
    return Image.fromarray(pixels)


def test_findings_of_one_object_with_a_margin_are_none() -> None:
    assert findings(mask((20, 60, 20, 60))) == ()


@pytest.mark.parametrize(
    ("box", "sides"),
    [
        ((0, 40, 20, 60), "top"),
        ((40, 80, 20, 60), "bottom"),
        ((0, 80, 30, 60), "top and bottom"),
        ((9, 30, 0, 40), "left"),
    ],
)
def test_findings_object_cut_at_the_border_names_the_sides(box: tuple[int, int, int, int], sides: str) -> None:
    (sentence,) = findings(mask(box))
    assert sentence.startswith(f"the object is cut at the {sides} border")


def test_findings_two_large_parts_may_be_several_objects_and_specks_are_not() -> None:
    (sentence,) = findings(mask((20, 60, 5, 40), (20, 60, 60, 90)))
    assert "falls into 2 parts" in sentence
    assert findings(mask((20, 60, 5, 60), (5, 8, 90, 93))) == ()
    assert findings(mask((20, 40, 20, 40), (40, 60, 40, 60))) == ()  # parts that touch at a corner


def test_findings_large_rectangle_may_be_a_picture_within_a_frame_and_nothing_else_is() -> None:
    (sentence,) = findings(mask((8, 72, 10, 90)))
    assert sentence.startswith(
        "what was cut out is a rectangle of 64% of the image; if it is a picture within a frame,"
    )
    assert findings(mask((20, 60, 20, 60))) == ()
    assert findings(mask((8, 72, 10, 90), (4, 8, 40, 60))) == ()  # a box with a handle
