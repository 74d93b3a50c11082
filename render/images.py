"""Images as arrays, PNG files and contact sheets. An image is uint8 (H, W, 4): sRGB colour, straight alpha."""

import io
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Rgba = npt.NDArray[np.uint8]
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that it cannot decode, or that has more pixels than it decodes."""
COVERED = 127
"""Alpha above which a pixel belongs to the object."""
CHECKER_PX = 8
LIGHT, DARK = 218, 196
"""Greys of the checkerboard: light enough to look at, dark enough to see a white object."""
MARGIN_PX = 6
LABEL_PX = 14


def encode_png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """Return pixels as a lossless PNG file; equal pixels give equal bytes.

    They are uint8 (H, W, 4), uint8 (H, W, 3), or grey as uint8 or uint16 (H, W).
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def decode_png(content: bytes) -> Rgba:
    """Return the image (H, W, 4) in a PNG file of 8 bits; one without alpha becomes opaque."""
    return np.array(Image.open(io.BytesIO(content)).convert("RGBA"))


def coverage(rgba: Rgba) -> float:
    """Return the share of the image that the object covers, 0 to 1: the mean of alpha."""
    return float(rgba[..., 3].mean() / 255)


def over_background(rgba: Rgba, background: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Composite an image on a background and return RGB (H, W, 3).

    `background` has values from 0 to 255 and broadcasts to (H, W, 3).
    """
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)


def checkerboard(height: int, width: int) -> npt.NDArray[np.float64]:
    """Return a checkerboard (height, width, 1) of two light greys, 0 to 255."""
    rows, columns = np.ogrid[:height, :width]
    is_light = (rows // CHECKER_PX + columns // CHECKER_PX) % 2 == 0
    return np.where(is_light, float(LIGHT), float(DARK))[..., None]


def paired_sheet(above: Sequence[Rgba], below: Sequence[Rgba], columns: int) -> Rgba:
    """Return a contact sheet of pairs of rows: `columns` images of `above`, and under each its partner in `below`."""
    firsts = range(0, len(above), columns)
    rows = [image for first in firsts for images in (above, below) for image in images[first : first + columns]]
    return contact_sheet(rows, columns)


def contact_sheet(
    images: Sequence[Rgba],
    columns: int,
    *,
    labels: Sequence[str] | None = None,
    background: Literal["checkerboard", "white"] = "checkerboard",
) -> Rgba:
    """Arrange all images on one opaque RGBA page, row by row.

    Args:
        images: (H, W, 4) each, of one size.
        columns: Images per row.
        labels: One line of text under each image; columns are as wide as the longest where images are narrower.
        background: What shows through where an image is transparent; the page between the images is white.

    Raises ValueError when there is no image, when they differ in size, or when labels and images differ in number.
    """
    sizes = {image.shape for image in images}
    if len(sizes) != 1:
        raise ValueError(f"a contact sheet needs images of one size, got {sorted(sizes) or 'none'}")
    height, width, _ = sizes.pop()
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    column = max([width, *(math.ceil(measure.textlength(label)) for label in labels or [])])
    step_y, step_x = height + MARGIN_PX + (LABEL_PX if labels else 0), column + MARGIN_PX
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (min(columns, len(images)) * step_x + MARGIN_PX, rows * step_y + MARGIN_PX), "white")
    draw = ImageDraw.Draw(page)
    behind = checkerboard(height, width) if background == "checkerboard" else np.full(3, 255.0)
    for index, (image, label) in enumerate(zip(images, labels or [""] * len(images), strict=True)):
        left, top = index % columns * step_x + MARGIN_PX, index // columns * step_y + MARGIN_PX
        page.paste(Image.fromarray(over_background(image, behind)), (left, top))
        draw.text((left, top + height + 1), label, fill="black")
    return np.array(page.convert("RGBA"))
