"""Segments a photo with a plain background; a background that is not plain is refused, not guessed."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

from models.data.pixels import Pixels, border_of

TOLERANCE = 18.0
"""Largest difference of any channel (0 to 255) at which a pixel still has the background's colour."""
PLAIN_SHARE = 0.95
"""Share of the border's pixels that must have the background's colour."""
SOFTNESS = 0.6
"""Standard deviation in pixels of the blur that antialiases the mask's edge."""
SPECK_SHARE = 0.01
"""Share of the largest part's pixels below which a part is taken for noise or dust and not for the object."""


def foreground_mask(photo: Pixels) -> Pixels:
    """Find the object before a plain background: what is not of the border's colour and connected with the border.

    Holes in the object belong to it; specks do not.

    Args:
        photo: RGB (height, width, 3).

    Returns:
        The mask (height, width), 0 to 255.

    Raises:
        ValueError: The border is not of one colour, or nothing stands before it.
    """
    border = border_of(photo).astype(np.float32)
    colour = np.median(border, axis=0)
    share = float((np.abs(border - colour).max(axis=1) <= TOLERANCE).mean())
    if share < PLAIN_SHARE:
        raise ValueError(
            f"the image has no alpha that is a mask, and its background is not plain: {share:.0%} of its border have "
            f"one colour, {PLAIN_SHARE:.0%} are needed; give a mask, or an RGBA image with the object cut out"
        )
    regions, _ = label(np.abs(photo.astype(np.float32) - colour).max(axis=2) <= TOLERANCE)
    outside = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    inside = binary_fill_holes(~np.isin(regions, outside[outside > 0]))
    if not inside.any():
        raise ValueError("the image has no alpha that is a mask and shows nothing but its background; give a mask")
    soft = gaussian_filter(without_specks(inside).astype(float), SOFTNESS)
    return np.rint(soft * 255).astype(np.uint8)


def without_specks(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Drop the connected parts (height, width) that have few pixels beside the largest."""
    parts, count = label(inside)
    if count < 2:
        return inside
    pixels = np.bincount(parts.ravel())
    pixels[0] = 0
    return (pixels >= SPECK_SHARE * pixels.max())[parts]
