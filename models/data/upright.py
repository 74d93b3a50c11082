"""Images of any mode, size and colour space as upright 8-bit sRGB of a size that is cheap to work with.

Knows what Pillow has decoded, not files (models/data/photo_files.py); of masks (models/data/masks.py) only that two
values are spread before they are averaged.
"""

# Shapes: H and W image size

import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from models.data.colour_profiles import to_srgb
from models.data.colour_spaces import Cicp, from_adobe_rgb, from_cicp, from_png
from models.data.masks import OPAQUE

WORKING_SIDE = 2048
"""Longest side in pixels that an image keeps: four times what the paper's model sees of an object."""
STRIP_ROWS = 256
"""Rows that are converted at once while an image is made smaller, which bounds the memory."""
ORIENTATION = 0x0112
"""EXIF's tag of the orientation."""
ADOBE_INDEX, ADOBE_SPACE, UNCALIBRATED = "R03", 2, 0xFFFF
"""EXIF's InteroperabilityIndex of Adobe RGB, and ColorSpace of it: 2 of some programs, else "another than sRGB"."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image with each orientation upright (EXIF 2.32, table 6)."""
DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of greys with more than 8 bits."""
GREYS = ("1", "L", "LA", "La", *DEEP)
"""Pillow's modes without colours."""
GREY_BITS = (8, 10, 12, 14, 16, 24, 32)
"""Depths that deep greys are stored with; scanners and sensors put 10 to 14 bits into 16."""
UNIT_LIMIT = 4.0
"""Largest value of a float image that still counts from 0 to 1; renderers overshoot 1 a little."""


@dataclass(frozen=True)
class Upright:
    """An image as it is meant to be seen."""

    image: Image.Image
    """RGB, or RGBA with straight alpha; 8 bits, sRGB, its longest side at most `WORKING_SIDE`."""
    size: tuple[int, int]
    """Width and height in pixels that the upright image has without being made smaller."""
    notes: tuple[str, ...] = ()
    """What was done to it that its owner may want to know, such as "turned upright (EXIF orientation 6)"."""


def make_upright(image: Image.Image, full_size: tuple[int, int] | None = None, *, is_mask: bool = False) -> Upright:
    """Turn an image upright, bring its values to 8 bits and its colours to sRGB, and make a large one smaller.

    Args:
        image: Any mode of Pillow.
        full_size: Width and height as stored where `image` was decoded at a smaller size; None: its own.
        is_mask: Values are shares of coverage and not colours, so no colour profile is applied.

    Raises:
        ValueError: A float image has values that are not finite, or a picture is of a high dynamic range.
        OSError: A lazily opened image cannot be decoded.
    """
    image.load()
    width, height = full_size or image.size
    orientation = _orientation(image)
    colours = _colours(image) if not is_mask and image.mode != "LAB" else None
    notes = [] if max(width, height) <= WORKING_SIDE else [f"made smaller, from {width} x {height}"]
    small = _made_smaller(image, is_mask)
    if orientation in TURNS:
        small = small.transpose(TURNS[orientation])
        notes.append(f"turned upright (EXIF orientation {orientation})")
    if orientation >= 5:
        width, height = height, width
    if colours:
        small, note = colours(small)
        notes += [note] if note else []
    return Upright(_bare(small), (width, height), tuple(notes))


def _colours(image: Image.Image) -> Callable[[Image.Image], tuple[Image.Image, str]] | None:
    """Return what brings the colours to sRGB, by what says most of them (PNG, third edition, 4.3)."""
    cicp, profile, gamma, chromaticity = map(image.info.get, ("cicp", "icc_profile", "gamma", "chromaticity"))
    if isinstance(cicp, Cicp):
        return partial(from_cicp, cicp=cicp)
    if profile:
        return partial(to_srgb, profile=profile, is_grey=image.mode in GREYS)
    if "srgb" in image.info:
        return None
    if gamma or chromaticity:
        return partial(from_png, gamma=gamma, chromaticity=chromaticity)
    return from_adobe_rgb if _is_adobe_rgb(image) else None


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF says so, in the way of cameras (DCF 2.0, EXIF 2.32) or by a number in use for it."""
    if image.mode not in ("RGB", "RGBA"):
        return False
    space = _exif(lambda exif: exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace), image)
    index = _exif(lambda exif: exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex), image)
    return space == ADOBE_SPACE or (space == UNCALIBRATED and str(index).startswith(ADOBE_INDEX))


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) where there is none or the EXIF data is broken.

    Asked after loading: a PNG may have its EXIF data last, and Pillow turns a TIFF by itself.
    """
    found = _exif(lambda exif: exif.get(ORIENTATION), image)
    return found if found in TURNS else 1


def _exif(ask: Callable[[Image.Exif], Any], image: Image.Image) -> Any:
    """Return what EXIF answers, None where it is broken."""
    try:
        with warnings.catch_warnings(action="ignore"):  # Pillow's about single broken tags
            return ask(image.getexif())
    except (SyntaxError, ValueError, KeyError, TypeError, IndexError, OSError, struct.error):
        return None  # what Pillow raises on broken EXIF data (its issues 1950, 4852, 6123); viewers ignore it too


def _made_smaller(image: Image.Image, is_mask: bool) -> Image.Image:
    """Convert to 8 bits; where a side is longer than `WORKING_SIDE`, average blocks of pixels strip by strip.

    Alpha, or a mask, of two values such as 0 and 1 becomes one of 0 and 255 first: averages would have more values, and
    colours multiplied by an alpha of 1 would be lost.
    """
    top = _largest_value(image) if image.mode in DEEP else 255.0
    longest = max(image.size)
    if longest <= WORKING_SIDE:
        return _eight_bits(image, top)
    factor = max(1, longest // WORKING_SIDE)
    rows = factor * max(1, STRIP_ROWS // factor)
    upper = _upper_of_two(_strips(image, rows, top, is_mask), is_mask)
    strips = [_premultiplied(_spread(strip, upper)).reduce(factor) for strip in _strips(image, rows, top, is_mask)]
    whole = Image.new(strips[0].mode, (strips[0].width, sum(strip.height for strip in strips)))
    for index, strip in enumerate(strips):
        whole.paste(strip, (0, index * (rows // factor)))
    ratio = WORKING_SIDE / longest
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    small = whole.resize(size, Image.Resampling.LANCZOS)
    return small.convert("RGBA") if small.mode == "RGBa" else small


def _strips(image: Image.Image, rows: int, top: float, is_mask: bool) -> Iterator[Image.Image]:
    """Yield some rows at a time with 8 bits, of a mask without alpha its brightness."""
    for first in range(0, image.height, rows):
        strip = _eight_bits(image.crop((0, first, image.width, min(first + rows, image.height))), top)
        yield strip.convert("RGB").convert("L") if is_mask and strip.mode != "RGBA" else strip


def _upper_of_two(strips: Iterator[Image.Image], is_mask: bool) -> int | None:
    """The upper of the two values that all alpha, or a mask, has; None where it has others, or there is none."""
    found = np.zeros(256, dtype=bool)
    for strip in strips:
        if strip.mode != "RGBA" and not is_mask:
            return None
        found |= np.array(strip.getchannel(strip.getbands()[-1]).histogram()) > 0
        if found.sum() > 2:
            return None
    levels = np.flatnonzero(found)
    return int(levels[1]) if len(levels) == 2 and levels[0] < OPAQUE else None


def _spread(strip: Image.Image, upper: int | None) -> Image.Image:
    """Make 0 and 255 of the two values of an alpha or a mask; None: leave the strip as it is."""
    if upper is None:
        return strip
    spread = strip.getchannel(strip.getbands()[-1]).point(lambda level: 255 * (level == upper))
    if strip.mode == "L":
        return spread
    strip.putalpha(spread)
    return strip


def _premultiplied(image: Image.Image) -> Image.Image:
    """Premultiply by alpha, if there is any, so that averages take no colour from transparent pixels."""
    return image.convert("RGBa") if image.mode == "RGBA" else image


def _eight_bits(image: Image.Image, top: float) -> Image.Image:
    """Convert to RGB, RGBA, L or CMYK; deep greys are divided by `top`."""
    if image.mode in DEEP:
        stored = _values(image)
        grey = Image.fromarray(np.rint((stored.astype(np.float64) * (255 / top)).clip(0, 255)).astype(np.uint8))
        transparent = image.info.get("transparency")  # the value of PNG's transparent pixels
        if not isinstance(transparent, int):
            return grey
        return Image.merge(
            "RGBA", [grey] * 3 + [Image.fromarray(np.where(stored == transparent, 0, 255).astype(np.uint8))]
        )
    if image.has_transparency_data or image.mode in ("La", "RGBa"):
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # None is for in-place conversion
        return converted
    return image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")


def _largest_value(image: Image.Image) -> float:
    """The value that stands for white: 1 or a depth's largest, the smallest that holds all values of the image."""
    largest = 0.0
    for first in range(0, image.height, STRIP_ROWS):
        values = _values(image.crop((0, first, image.width, min(first + STRIP_ROWS, image.height))))
        if not np.isfinite(values).all():
            raise ValueError("holds values that are not finite (NaN or infinity); save it with 8 bits")
        largest = max(largest, float(values.max()))
    if image.mode == "F" and largest <= UNIT_LIMIT:
        return 1.0
    return float(2 ** next(bits for bits in GREY_BITS if largest < 2**bits or bits == GREY_BITS[-1]) - 1)


def _values(image: Image.Image) -> npt.NDArray[Any]:
    """Values of a deep grey; Pillow shows unsigned ones of 32 bits as signed."""
    values = np.asarray(image)
    return values.view(np.uint32) if image.mode == "I" else values


def _bare(image: Image.Image) -> Image.Image:
    """RGB or RGBA without the profile and EXIF data, which are applied and must not be applied again."""
    bare = image.copy() if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    bare.info = {}
    return bare
