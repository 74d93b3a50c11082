"""Opens photos as users have them: any usual format, any size, and one clear sentence for what is no photo."""

import importlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from models.data.code_points import code_points
from models.data.decoders import COSTLY, check_scans, kind_of, reduce_detail
from models.data.file_kinds import AGAIN, RAW, RAW_SUFFIXES, is_heif, what_it_is
from models.data.png_chunks import PNG_START, check_pixels
from models.data.tiff_kinds import MOST_PAGES, check_signs, check_tiff, count_pages
from models.data.upright import WORKING_SIDE, Upright, make_upright

MAX_MEGAPIXELS = 220
"""Largest image that is decoded; the largest phone sensors have 200 megapixels, which take 0.8 GB as RGB."""
FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF", "BMP", "JPEG2000", "PPM", "TGA", "PSD", "ICO", "PCX"
)  # fmt: skip
"""Formats that are tried; others of Pillow start programs (EPS) or are no photos."""
WHOLES = ("MPO", "PSD")
"""Formats whose further pictures are previews or layers of the first."""
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|data:|-$")
"""Begin of an address, whose slashes are one in a path; and the name by which other programs read what is piped."""
NO_FILE = "is no file of this machine; download or save the photo, and name that file"
PADDED = ("BMP", "TGA")
"""Formats that many programs write with four bytes a pixel and three in use."""
JPEG = b"\xff\xd8\xff"
"""First bytes of JPEG and MPO."""
ICON = b"\x00\x00\x01\x00"
"""First bytes of ICO."""
ICON_PIXELS = 1024 * 1024
"""Pillow decodes an icon while it opens it, and takes the size from the PNG in it; icons have at most 256 x 256."""
BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, OverflowError, MemoryError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises on damaged files (its issues 1163 and 1950; RuntimeError of libavif), and on too large ones."""


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
    try:
        _require_file(path)
        with _opened(path) as image:
            return _decoded(image, path, is_mask, max_megapixels)
    except PermissionError:
        raise ValueError(f"{path} may not be read by this user; change its permissions") from None
    except OSError as error:  # a name that is too long, a disk that fails
        raise ValueError(f"{path} cannot be opened ({error.strerror or error}); copy it elsewhere") from error
    except ValueError as error:
        raise ValueError(f"{path} {error}") from error


def _require_file(path: Path) -> None:
    if not path.exists():
        if path.is_symlink():
            raise ValueError(f"is a link to {path.readlink()}, which does not exist")
        raise ValueError(NO_FILE if ADDRESS.match(str(path)) else "does not exist")
    if path.is_dir():
        raise ValueError("is a folder; name the image files in it")
    if not path.is_file():
        raise ValueError("is a device or a pipe; name an image file")
    if path.suffix.lower() in RAW_SUFFIXES:
        raise ValueError(RAW)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open without Pillow's own limit on the size, which is asked of images that a JPEG decodes smaller too, and with
    a wider one on texts in PNG, where editors keep the history of a picture.
    """
    limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    try:
        # Pillow's about broken tags, which viewers ignore
        with warnings.catch_warnings(action="ignore", category=UserWarning), path.open("rb") as file:
            start = file.read(64)
            file.seek(0)
            if is_heif(start):
                _register_heif()
            Image.MAX_IMAGE_PIXELS = ICON_PIXELS if start.startswith(ICON) else None
            PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
            cicp = code_points(file)
            if start.startswith(PNG_START):
                check_pixels(file)
            file.seek(0)
            with _identified(_scanned(file) if start.startswith(JPEG) else file, start) as image:
                image.info |= {"cicp": cicp} if cicp else {}
                yield image
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = limits


def _scanned(file: BinaryIO) -> BinaryIO:
    """Read a JPEG, which is looked through before it is decoded, once for both."""
    content = file.read()
    check_scans(content)
    return io.BytesIO(content)


def _identified(file: BinaryIO, start: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings(action="ignore"):  # Pillow's about icons: larger than usual, or than they claim
            return Image.open(file, formats=[name for name in FORMATS if _is_known(name)])
    except UnidentifiedImageError:
        raise ValueError(what_it_is(start)) from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"is an icon whose picture has more than {2 * ICON_PIXELS / 1e6:.1f} megapixels; save that picture as PNG"
        ) from None
    except BROKEN as error:
        raise ValueError(f"is damaged or cut off: {error}; {AGAIN}") from error


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
    _require_pixels(image, max_megapixels, reduce_detail(image, path, WORKING_SIDE))
    check_tiff(image)
    try:
        pages = _pages(image, path)
        longest = max(width, height)
        if longest > WORKING_SIDE:
            image.draft(image.mode, (width * WORKING_SIDE // longest or 1, height * WORKING_SIDE // longest or 1))
        if image.format == "WEBP" and longest > WORKING_SIDE and pages == 1:
            image = _large_webp(path, image)
        image.load()
    except BROKEN as error:
        raise ValueError(f"is damaged or cut off: {error}; {AGAIN}") from error
    if image.mode in ("P", "PA") and image.palette is None:
        raise ValueError(f"is damaged: its palette is missing; {AGAIN}")
    check_signs(image)
    # a TIFF turns when it is loaded
    stored = (width, height) if image.format in ("JPEG", "MPO", "JPEG2000") else image.size
    upright = make_upright(_without_padding(image), stored, is_mask=is_mask)
    count = f"more than {MOST_PAGES}" if pages > MOST_PAGES and image.format == "TIFF" else str(pages)
    notes = (f"holds {count} pictures, the first is taken",) if pages > 1 else ()
    return Upright(upright.image, upright.size, notes + upright.notes)


def _without_padding(image: Image.Image) -> Image.Image:
    """Take the fourth byte of BMP's and TGA's pixels for padding where it is 0 in all of them, as viewers do."""
    if image.format not in PADDED or image.mode != "RGBA" or image.getchannel("A").getextrema() != (0, 0):
        return image
    return image.convert("RGB")


def _pages(image: Image.Image, path: Path) -> int:
    if image.format in WHOLES:
        return 1
    return count_pages(path) if image.format == "TIFF" else getattr(image, "n_frames", 1)


def _require_pixels(image: Image.Image, max_megapixels: float, share: float) -> None:
    """Raise ValueError for an image that takes too much memory, of whose pixels `share` are decoded."""
    megapixels, kind = image.width * image.height / 1e6, kind_of(image)
    words = f"has {image.width} x {image.height} pixels, {megapixels:.0f} megapixels; at most"
    if megapixels > max_megapixels:
        raise ValueError(f"{words} {max_megapixels:g} are read; save it smaller")
    if kind and megapixels * share > COSTLY[kind]:
        raise ValueError(f"{words} {COSTLY[kind]} are read of {kind}; save it smaller, or as PNG")


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
