"""TIFF whose pixels would be read as something else without a word: thumbnails, and kinds that Pillow mistakes."""

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

DNG_VERSION = 50706
"""Tag that says that a file is a raw photo, whose first picture is a thumbnail."""
SUBFILE_TYPE, IS_REDUCED = 254, 1
"""Tag of what a picture is, and its bit for a smaller copy of another picture in the file."""
BITS, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 258, 262, 284, 339
WHITE_IS_ZERO, SEPARATE, SIGNED = 0, 2, 2
"""Values of the last three tags (TIFF 6.0, pages 37, 38 and 80)."""
MOST_PAGES = 1000
"""Pictures of a file that are counted."""


def bits_of(image: Image.Image) -> int:
    """Return the bits of a sample of an opened TIFF, 8 for an image of another format."""
    return max(_numbers(image, BITS, 8))


def check_tiff(image: Image.Image) -> None:
    """Raise ValueError for an opened TIFF that is a raw photo, or whose pixels Pillow would mistake."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    if DNG_VERSION in image.tag_v2:
        raise ValueError("is a raw photo (DNG); develop it to JPEG, PNG or TIFF")
    if _numbers(image, SUBFILE_TYPE, 0)[0] & IS_REDUCED:
        raise ValueError(
            f"begins with a thumbnail of {image.width} x {image.height} pixels, as raw photos do; develop it, or save "
            "the picture itself as JPEG, PNG or TIFF"
        )
    if bits_of(image) > 8 and SEPARATE in _numbers(image, PLANES, 1) and len(image.getbands()) > 1:
        raise ValueError("is TIFF of 16 bits whose colours lie in separate planes; save it with 8 bits, or as PNG")
    if bits_of(image) > 8 and WHITE_IS_ZERO in _numbers(image, PHOTOMETRIC, 1):
        raise ValueError("is TIFF of 16 bits in which white is 0; save it with black as 0, or as PNG")


def check_signs(image: Image.Image) -> None:
    """Raise ValueError for a loaded TIFF with numbers below 0, which Pillow shows as large ones."""
    if SIGNED not in _numbers(image, SAMPLE_FORMAT, 1) or image.mode not in ("I", "L"):
        return
    values = np.asarray(image)
    lowest = int(values.min() if image.mode == "I" else values.view(np.int8).min())
    if lowest < 0:
        raise ValueError(f"is TIFF with numbers below 0, down to {lowest}; save it with 8 or 16 bits without sign")


def count_pages(path: Path) -> int:
    """Count the pictures of a TIFF, up to `MOST_PAGES` + 1; Pillow's count takes time in the square of their number."""
    with path.open("rb") as file:
        order = "<" if file.read(2) == b"II" else ">"
        is_big = file.read(2) in (b"+\x00", b"\x00+")  # BigTIFF: 8 bytes where TIFF has 4
        tags_as, offset_as, tag_bytes = (f"{order}Q", f"{order}Q", 20) if is_big else (f"{order}H", f"{order}I", 12)
        file.seek(8 if is_big else 4)
        place, pages = _next(file, offset_as), 0
        while place and pages <= MOST_PAGES:
            file.seek(place)
            file.seek(place + struct.calcsize(tags_as) + _next(file, tags_as) * tag_bytes)
            place, pages = _next(file, offset_as), pages + 1
    return pages


def _next(file: BinaryIO, form: str) -> int:
    """Read a number; 0 at the end of the file."""
    content = file.read(struct.calcsize(form))
    return int(struct.unpack(form, content)[0]) if len(content) == struct.calcsize(form) else 0


def _numbers(image: Image.Image, tag: int, usual: int) -> tuple[int, ...]:
    """Values of a tag; `usual` where it is missing or broken."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return (usual,)
    try:
        found = image.tag_v2.get(tag, usual)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return (usual,)
    values = found if isinstance(found, tuple) else (found,)
    return tuple(value for value in values if isinstance(value, int)) or (usual,)
