"""The object's mask in a photo before a plain background; what is not plain is refused, not guessed."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

Rgb = npt.NDArray[np.uint8]

TOLERANCE = 18.0
"""Largest difference of a channel, 0 to 255, from the background's colour up to which a pixel belongs to it."""
PLAIN_SHARE = 0.95
"""Of the border's pixels that must lie within the tolerance."""
SOFTNESS = 0.6
"""Standard deviation in pixels of the blur that gives the mask's edge its greys."""


def foreground_mask(photo: Rgb) -> npt.NDArray[np.uint8]:
    """The mask (H, W), 0 to 255, of what stands before the plain background of `photo` (H, W, 3).

    The background is what has the border's colour and is connected with the border; holes in the object stay filled.
    Raises ValueError when the border is not of one colour, or when nothing stands before it.
    """
    border = np.concatenate([photo[0], photo[-1], photo[1:-1, 0], photo[1:-1, -1]]).astype(float)
    colour = np.median(border, axis=0)
    share = float((np.abs(border - colour).max(axis=1) <= TOLERANCE).mean())
    if share < PLAIN_SHARE:
        raise ValueError(
            f"the image has no alpha and its background is not plain: {share:.0%} of its border have one colour, "
            f"{PLAIN_SHARE:.0%} are needed; give a mask, or an RGBA image with the object cut out"
        )
    regions, _ = label(np.abs(photo.astype(float) - colour).max(axis=2) <= TOLERANCE)
    outside = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    inside = binary_fill_holes(~np.isin(regions, outside[outside > 0]))
    if not inside.any():
        raise ValueError("the image has no alpha and shows nothing but its background; give a mask")
    soft = gaussian_filter(inside.astype(float), SOFTNESS)
    return np.rint(soft * 255).astype(np.uint8)
