"""Changes the field of view of an image at a fixed size: a crop or a margin, then a resize.

Exact for pinhole cameras at one place. Views of the ring test go to the model's field of view and back, and are scored
pixel by pixel at their size, so the crop is not rounded to pixels; `models.data.images.change_fov` answers another
question, which whole pixels of a photo the model should see, and leaves the resize to the pipeline.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from render.images import Rgba


def change_fov(rgba: Rgba, from_deg: float, to_deg: float, side: int) -> Rgba:
    """Return what a camera at the same place with another field of view sees.

    Args:
        rgba: uint8 (H, H, 4), straight alpha.
        from_deg: Field of view of `rgba`.
        to_deg: Field of view of the result; where it is wider, the margin is transparent.
        side: Of the result, in pixels.

    Returns uint8 (side, side, 4), straight alpha; colours are premultiplied while they are resampled.
    """
    ratio = math.tan(math.radians(to_deg) / 2) / math.tan(math.radians(from_deg) / 2)
    half = rgba.shape[0] / 2
    margin = max(0, math.ceil(half * ratio - half))
    padded = np.pad(_premultiplied(rgba), ((margin, margin), (margin, margin), (0, 0)))
    low, high = margin + half - half * ratio, margin + half + half * ratio
    resampling = Image.Resampling.BICUBIC if side >= high - low else Image.Resampling.BOX
    bands = [
        Image.fromarray(padded[..., band]).resize((side, side), resampling, box=(low, low, high, high))
        for band in range(4)
    ]
    return _straight(np.stack([np.asarray(band) for band in bands], axis=-1))


def _premultiplied(rgba: Rgba) -> npt.NDArray[np.float32]:
    image = rgba.astype(np.float32) / 255
    image[..., :3] *= image[..., 3:]
    return image


def _straight(image: npt.NDArray[np.float32]) -> Rgba:
    alpha = image[..., 3:].clip(0, 1)
    colour = np.divide(image[..., :3], alpha, out=np.zeros_like(image[..., :3]), where=alpha > 1 / 510)
    return np.round(np.concatenate([colour.clip(0, 1), alpha], axis=-1) * 255).astype(np.uint8)
