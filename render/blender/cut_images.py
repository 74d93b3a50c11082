"""Tells which images end too soon, of the kinds of which Blender paints what is missing without a word."""

import io
from pathlib import Path
from typing import Any

import bpy
from PIL import Image

from render.images import UNREADABLE
from render.named_files import leads_to_file

JPEG_START, JPEG_SCAN, JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
"""Markers at the beginning of a JPEG, of its last scan of pixels, and at its end (ITU T.81, table B.1)."""
RIFF_HEADER = 8
"""Bytes of a WebP file before those that its header counts: four letters and the number."""
PADDING = 1
"""Bytes behind the pixels that are counted and that writers forget."""


def is_cut_off(image: Any) -> bool:
    """Tell whether an image of Blender's is a JPEG, WebP or TIFF file that ends too soon."""
    if image.file_format not in ("JPEG", "WEBP", "TIFF"):
        return False
    content = stored_content(image)
    if image.file_format == "WEBP":
        listed = RIFF_HEADER + int.from_bytes(content[4:RIFF_HEADER], "little")
        return bool(content) and len(content) < listed - PADDING
    if image.file_format == "TIFF":
        return "truncated" in why_unreadable(content)
    if not content.startswith(JPEG_START) or content.rfind(JPEG_END) > content.rfind(JPEG_SCAN):
        return False
    return bool(why_unreadable(content))


def stored_content(image: Any) -> bytes:
    """Return the content of an image's file; nothing where there is none."""
    if image.packed_file:
        return bytes(image.packed_file.data)
    path = Path(bpy.path.abspath(image.filepath))
    return path.read_bytes() if leads_to_file(path) else b""


def why_unreadable(content: bytes) -> str:
    """Return what Pillow says of an image that it cannot decode; nothing where it can."""
    try:
        Image.open(io.BytesIO(content)).load()
    except UNREADABLE as error:
        return str(error) or "no reason given"
    return ""
