"""The types of images at the edges of the models: what users hand in, and what decoding hands out."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""One image or a batch of equal ones, (..., height, width) or (..., height, width, channels): grey, RGB or RGBA with
straight alpha, sRGB."""
ImageInput = Image.Image | Pixels
"""One grey, RGB or RGBA image, straight alpha: a PIL image, or pixels (height, width) or (height, width, 3 or 4)."""


def border_of(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the outermost pixels (N, ...) of an image (H, W, ...), each once."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
