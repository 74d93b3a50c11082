"""Segments a photo from a box around the object by GrabCut (Rother et al. 2004), which needs no trained weights."""

import math

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from models.data.background import SOFTNESS, without_specks
from models.data.pixels import Pixels

GRABCUT_SIDE = 640
"""Longest side in pixels at which a photo is cut, more than the paper's model sees of an object; a photo of a thousand
pixels would take seconds."""
ITERATIONS = 5
NOISE = 5.0
"""Standard deviation, of 255, of the noise that is added: colours without spread, as of a drawing or a smoothed photo,
make GrabCut's Gaussians degenerate, and it then cuts along JPEG's blocks."""
LEAST_OUTSIDE = 0.02
"""Share of the image that must lie outside of the box: from there the background's colours are learnt."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels; right and bottom are the first beyond."""


def cut_in_box(photo: Pixels, box: Box, full_size: tuple[int, int] | None = None) -> Pixels:
    """Find the object in a box; everything outside of the box is background, and so are specks.

    Args:
        photo: RGB (height, width, 3).
        box: Around the object, in pixels of the photo at its full size.
        full_size: Its width and height where `photo` was made smaller; None: those of `photo`.

    Returns:
        The mask (height, width), 0 to 255.

    Raises:
        ValueError: The box is empty, lies outside of the photo or covers all of it, or nothing is found in it.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, GRABCUT_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    full_width, full_height = full_size or (width, height)
    left, top, right, bottom = _checked(box, full_width, full_height)
    scale *= width / full_width
    labels = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    labels[_scaled(top, bottom, scale), _scaled(left, right, scale)] = cv2.GC_PR_FGD
    inside = without_specks(_cut(small, labels))
    if not inside.any():
        raise ValueError(
            f"GrabCut finds nothing in the box {left},{top},{right},{bottom} that differs from what is around it; draw "
            "the box closer around the object, or give a mask"
        )
    soft = np.rint(gaussian_filter(inside.astype(float), SOFTNESS) * 255).astype(np.uint8)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _checked(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    name = ",".join(f"{edge:g}" for edge in box)
    if not all(math.isfinite(edge) for edge in box):
        raise ValueError(
            f"the box {name} has edges that are not finite; give X0,Y0,X1,Y1 inside the {width} x {height} image"
        )
    left, top = max(0, round(box[0])), max(0, round(box[1]))
    right, bottom = min(width, round(box[2])), min(height, round(box[3]))
    if right - left < 2 or bottom - top < 2:
        raise ValueError(f"the box {name} holds no pixels of the {width} x {height} image; give X0,Y0,X1,Y1 inside it")
    if 1 - (right - left) * (bottom - top) / (width * height) < LEAST_OUTSIDE:
        raise ValueError(
            f"the box {name} covers the whole {width} x {height} image; GrabCut learns the background from what is "
            "outside: draw it close around the object"
        )
    return left, top, right, bottom


def _scaled(first: int, last: int, scale: float) -> slice:
    return slice(round(first * scale), max(round(first * scale) + 1, round(last * scale)))


def _cut(photo: Pixels, labels: Pixels) -> npt.NDArray[np.bool_]:
    noisy = photo + np.random.default_rng(0).normal(0, NOISE, photo.shape)
    cv2.setRNGSeed(0)  # GrabCut starts its colour models from k-means: equal photos give equal masks
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        np.rint(noisy.clip(0, 255)).astype(np.uint8),
        labels,
        (0, 0, 0, 0),
        background,
        foreground,
        ITERATIONS,
        cv2.GC_INIT_WITH_MASK,
    )
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
