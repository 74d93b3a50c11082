"""Opens photos as users have them: any usual format, any size, and one clear sentence for what is no photo."""

import importlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.data.upright import WORKING_SIDE, Upright, make_upright

MAX_MEGAPIXELS = 220
"""Largest image that is decoded; the largest phone sensors have 200 megapixels, which take 0.8 GB as RGB."""
FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "TGA", "PSD", "ICO", "PCX"
)  # fmt: skip
"""Formats that are tried; others of Pillow start programs (EPS) or are no photos."""
RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2")
DNG_VERSION = 50706
"""TIFF's tag that says that a file is a raw photo, whose first picture is a thumbnail."""
DAMAGED = "is damaged or cut off: it begins as an image, but cannot be decoded"
OTHERS = {
    DAMAGED: (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"),
    "is TIFF of a kind that is not read (floats in colour or of 64 bits), or cut off; save it with 8 or 16 bits": (
        b"II*\x00",
        b"MM\x00*",
        b"II+\x00",
        b"MM\x00+",
    ),
    "is JPEG XL, which is not read; save it as JPEG or PNG": (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),
    "is a git-LFS pointer and not the image itself; fetch it with git lfs pull": (b"version https://git-lfs",),
    "is a web page and not an image; download the image itself": (b"<!doctype html", b"<html"),
    "is a drawing (SVG or PDF) and not a photo; export it as PNG": (b"<svg", b"<?xml", b"%pdf"),
}
"""What files are that Pillow does not know, by their first bytes, letters in lower case."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, OverflowError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises on damaged files (its issues 1163 and 1950), and on larger ones than it decodes."""


def read_photo(path: Path, *, is_mask: bool = False, max_megapixels: float = MAX_MEGAPIXELS) -> Upright:
    """Read a photo upright, in 8-bit sRGB, its longest side at most `upright.WORKING_SIDE` pixels.

    A large JPEG is decoded at a smaller size. Of an animation or of several pages the first picture is taken.

    Args:
        path: JPEG, PNG, WebP, TIFF, AVIF, GIF, BMP, JPEG 2000, PSD, or HEIC where pillow-heif is installed.
        is_mask: It is a mask and no photo, so no colour profile is applied.
        max_megapixels: Largest image that is decoded.

    Raises:
        ValueError: The file is missing, is no image, is damaged or has more than `max_megapixels`; the sentence names
            it.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the image files in it")
    if not path.is_file():
        raise ValueError(f"{path} is a device or a pipe; name an image file")
    if path.suffix.lower() in RAW_SUFFIXES:
        raise ValueError(f"{path} is a raw photo; develop it to JPEG, PNG or TIFF")
    try:
        with _opened(path) as image:
            return _decoded(image, path, is_mask, max_megapixels)
    except PermissionError:
        raise ValueError(f"{path} may not be read by this user; change its permissions") from None
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open without Pillow's own limit on the size, which is asked of images that a JPEG decodes smaller too."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with path.open("rb") as file:
            start = file.read(64)
            file.seek(0)
            if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS:
                _register_heif()
            try:
                image = Image.open(file, formats=[name for name in FORMATS if _is_known(name)])
            except UnidentifiedImageError:
                raise ValueError(_what_it_is(start)) from None
            except BROKEN as error:
                raise ValueError(f"is no image that can be read: {error}") from error
            with image:
                yield image
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _is_known(name: str) -> bool:
    """Whether this Pillow opens the format; asked after its plugins are loaded."""
    Image.init()
    return name in Image.OPEN


def _register_heif() -> None:
    try:
        # optional, and costs libheif where no HEIC comes; by name, since diffusers asks for what it sees imported
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise ValueError(
            "is HEIC, which needs the package pillow-heif: pip install pillow-heif, or save it as JPEG or PNG"
        ) from None


def _decoded(image: Image.Image, path: Path, is_mask: bool, max_megapixels: float) -> Upright:
    width, height = image.size
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise ValueError(
            f"has {width} x {height} pixels, {megapixels:.0f} megapixels; at most {max_megapixels:g} are read; save it "
            "smaller"
        )
    if image.format == "TIFF" and DNG_VERSION in getattr(image, "tag_v2", {}):
        raise ValueError("is a raw photo (DNG); develop it to JPEG, PNG or TIFF")
    try:
        pages = getattr(image, "n_frames", 1) if image.format != "MPO" else 1  # MPO: previews of the same photo
        longest = max(width, height)
        if longest > WORKING_SIDE:
            image.draft(image.mode, (width * WORKING_SIDE // longest or 1, height * WORKING_SIDE // longest or 1))
        if image.format == "WEBP" and longest > WORKING_SIDE and pages == 1:
            image = _large_webp(path, image)
        image.load()
    except BROKEN as error:
        raise ValueError(f"is damaged or cut off: {error}") from error
    stored = (width, height) if image.format in ("JPEG", "MPO") else image.size  # a TIFF turns when it is loaded
    upright = make_upright(image, stored, is_mask=is_mask)
    notes = (f"holds {pages} pictures, the first is taken",) if pages > 1 else ()
    return Upright(upright.image, upright.size, notes + upright.notes)


def _large_webp(path: Path, opened: Image.Image) -> Image.Image:
    """Decode a WebP of one picture by OpenCV: Pillow's decoder of animations keeps four copies of it in memory."""
    try:
        # by name, since a saved model folder works without it, at the price of that memory
        cv2 = importlib.import_module("cv2")
    except ImportError:
        return opened
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("the WebP picture in it is not whole")
    has_alpha = values.shape[2] == 4
    size, order = (values.shape[1], values.shape[0]), "BGRA" if has_alpha else "BGR"
    decoded = Image.frombuffer("RGBA" if has_alpha else "RGB", size, values, "raw", order, 0, 1)
    decoded.format, decoded.info = opened.format, opened.info  # its colour profile and EXIF data
    return decoded


def _what_it_is(start: bytes) -> str:
    """Say what a file is that is no image, from its first bytes."""
    if not start:
        return "is empty (0 bytes); copy or download it again"
    if start[4:8] == b"ftyp" or start[8:12] == b"WEBP":  # AVIF, HEIC and WebP have their length first
        return DAMAGED
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next(
        (said for said, starts in OTHERS.items() if start.startswith(starts) or text.startswith(starts)),
        "is no image that can be read; JPEG, PNG, WebP, TIFF, AVIF and others are",
    )
