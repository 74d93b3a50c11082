"""Images of the report as data URIs, so that the page needs no file beside it. Views are uint8 (H, W, 4)."""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from PIL import Image

from render.images import Rgba, contact_sheet, over_background

THUMBNAIL_PX = 96
"""Larger views are shown at this side; 8 of them side by side fill the width of the page."""
WEBP_QUALITY = 82
FRAME_MS = 250
"""Milliseconds that an animation shows a view."""
ERROR_SCALE = 0.5
"""Mean absolute error over the channels, on white, that an error image shows at full strength."""
ERROR_COLOURS = "Reds"
WHITE = np.full(3, 255.0)


@dataclass(frozen=True)
class Picture:
    """An image that the page holds itself."""

    uri: str
    alt: str
    width: int
    height: int


def as_uri(content: bytes, kind: str) -> str:
    """Return a file as a data URI; `kind` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def picture(image: Rgba, alt: str) -> Picture:
    """Encode an image as WebP."""
    return animation([image], alt)


def animation(frames: Sequence[Rgba], alt: str) -> Picture:
    """Encode frames of one size as an animated WebP that turns for ever; equal frames give equal bytes."""
    first, *rest = (Image.fromarray(over_background(frame, WHITE)) for frame in frames)
    buffer = io.BytesIO()
    moving = {"save_all": True, "append_images": rest, "duration": FRAME_MS, "loop": 0} if rest else {}
    first.save(buffer, format="WEBP", quality=WEBP_QUALITY, method=4, **moving)
    return Picture(as_uri(buffer.getvalue(), "image/webp"), alt, *first.size)


def chart(svg: bytes, alt: str) -> Picture:
    """Take a chart as it is; its size is that of its box on the page."""
    return Picture(as_uri(svg, "image/svg+xml"), alt, 0, 0)


def view_sheet(images: Iterable[Rgba], columns: int) -> Rgba:
    """Lay views out on white, row by row, at most THUMBNAIL_PX each."""
    return contact_sheet([shrink(image, THUMBNAIL_PX) for image in images], columns, background="white")


def shrink(image: Rgba, width: int) -> Rgba:
    """Scale an image down to at most `width` pixels across."""
    if image.shape[1] <= width:
        return image
    size = (width, round(image.shape[0] * width / image.shape[1]))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def error_image(drawn: Rgba, truth: Rgba) -> Rgba:
    """Show where two views of one size differ on white: white where they agree, dark red from ERROR_SCALE on."""
    pair = [over_background(image, WHITE).astype(np.float64) for image in (drawn, truth)]
    share = np.abs(pair[0] - pair[1]).mean(axis=2) / (255 * ERROR_SCALE)
    colours: npt.NDArray[np.float64] = mpl.colormaps[ERROR_COLOURS](np.clip(share, 0, 1))
    colours[share == 0] = 1
    return np.rint(255 * colours).astype(np.uint8)
