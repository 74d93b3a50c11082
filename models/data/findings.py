"""What a mask tells about a photo: whether the object leaves the picture, falls into parts, or is a picture itself."""

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import label

from models.data.masks import SOLID

CUT_SHARE = 0.01
"""Share of a side of the image that the object covers where it is taken to go on beyond it."""
CUT_PIXELS = 2
PART_SHARE = 0.1
"""Share of the largest part's pixels from which on a further part may be an object of its own."""
FRAMED_SHARE = 0.4
"""Share of the image from which on a rectangle may be a picture within a frame, as in a screenshot."""
RECTANGLE = 0.99
"""Share of its bounding box that a rectangle covers; no object that is turned or seen from above covers as much."""
SIDES = ("top", "bottom", "left", "right")


def findings(alpha: Image.Image) -> tuple[str, ...]:
    """Return what may spoil the views of an object, a sentence each; empty where nothing is found.

    Args:
        alpha: The object's mask, grey, 0 to 255, of the whole upright photo.
    """
    solid = np.asarray(alpha) > SOLID
    found = []
    edges = dict(zip(SIDES, (solid[0], solid[-1], solid[:, 0], solid[:, -1]), strict=True))
    cut = [side for side, edge in edges.items() if edge.sum() >= max(CUT_PIXELS, CUT_SHARE * len(edge))]
    if cut:
        found.append(
            f"the object is cut at the {' and '.join(cut)} border, and what lies beyond is guessed; leave a margin "
            "around it"
        )
    labels, count = label(solid, np.ones((3, 3)))
    pixels = np.bincount(labels.ravel(), minlength=2)[1:]
    parts = int((pixels >= PART_SHARE * pixels.max()).sum()) if count else 0
    if parts > 1:
        found.append(f"what was cut out falls into {parts} parts; if they are several objects, give photos of one")
    if solid.mean() > FRAMED_SHARE and _is_rectangle(solid):
        found.append(
            f"what was cut out is a rectangle of {solid.mean():.0%} of the image; if it is a picture within a frame, "
            "crop the photo to that picture"
        )
    return tuple(found)


def _is_rectangle(solid: npt.NDArray[np.bool_]) -> bool:
    """Whether a mask (height, width) covers its bounding box."""
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    return bool(solid.sum() >= RECTANGLE * box)
