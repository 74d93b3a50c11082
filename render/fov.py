"""Changes the field of view of an image: a crop or a margin, and a resize, in one step.

Exact for pinhole cameras at one place. Views of the ring tests go to the model's field of view and back, and are scored
pixel by pixel at their size, so the crop is not rounded to pixels; `models.data.images.change_fov` answers another
question, which whole pixels of a photo the model should see, and leaves the resize to the pipeline.
"""

import math

from render.images import Rgba
from render.resample import resample_square


def change_fov(rgba: Rgba, from_deg: float, to_deg: float, side: int) -> Rgba:
    """Return what a camera at the same place with another field of view sees.

    Args:
        rgba: uint8 (H, H, 4), straight alpha.
        from_deg: Field of view of `rgba`.
        to_deg: Field of view of the result; where it is wider, the margin is transparent.
        side: Of the result, in pixels.

    Returns uint8 (side, side, 4), straight alpha; colours are premultiplied while they are resampled, by area where the
    result has fewer pixels and bicubic where it has more.
    """
    ratio = math.tan(math.radians(to_deg) / 2) / math.tan(math.radians(from_deg) / 2)
    half = rgba.shape[0] / 2
    return resample_square(rgba, half - half * ratio, half + half * ratio, side)
