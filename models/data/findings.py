"""What a mask tells about a photo: whether the object leaves the picture, and whether it falls into several parts."""

import numpy as np
from PIL import Image
from scipy.ndimage import label

from models.data.masks import SOLID

CUT_SHARE = 0.01
"""Share of a side of the image that the object covers where it is taken to go on beyond it."""
CUT_PIXELS = 2
PART_SHARE = 0.1
"""Share of the largest part's pixels from which on a further part may be an object of its own."""
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
    return tuple(found)
