"""Refuses images of more pixels than any texture has, by their headers, before Blender decodes them."""

import io
from pathlib import Path
from typing import Any

import bpy
from PIL import Image

from render.errors import Unrenderable
from render.images import UNREADABLE
from render.named_files import leads_to_file

MAX_PIXELS = 2**28
"""Of one image: 16,384 x 16,384, which Blender decodes to a gigabyte."""


def check_image_sizes() -> None:
    """Raise Unrenderable when an image of the scene has more than MAX_PIXELS: a megabyte may hold gigapixels.

    What Pillow cannot open is left to Blender.
    """
    for image in bpy.data.images:
        width, height = stored_size(image)
        if width * height > MAX_PIXELS:
            raise Unrenderable(
                f"the image {image.name} has {width} x {height} pixels, more than {MAX_PIXELS}; make it smaller"
            )


def stored_size(image: Any) -> tuple[int, int]:
    """Return width and height as the image's file says, without decoding it; 0 and 0 where it does not say."""
    path = Path(bpy.path.abspath(image.filepath))
    packed = image.packed_file
    if packed is None and not leads_to_file(path):
        return 0, 0
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(bytes(packed.data)) if packed else path) as opened:
            return opened.size
    except UNREADABLE:
        return 0, 0
    finally:
        Image.MAX_IMAGE_PIXELS = limit
