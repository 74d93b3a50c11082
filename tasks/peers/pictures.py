"""Pictures of other people: read, checked, cut into tiles, and given a mask where they have none."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from models.data.photo_files import BROKEN
from render.images import Rgba

MASK_STEP = 12
"""A pixel belongs to the object where a channel is further than this, of 255, from the colour of the border."""
WHITE = 243
"""A border at least this bright in all channels counts as white."""


def read_picture(path: Path) -> Rgba:
    """Read a picture as RGBA, uint8 (H, W, 4); one without alpha becomes opaque.

    Raises ValueError when the file is no picture, a torn one, or one too large to decode.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGBA"))
    except BROKEN as fault:
        raise ValueError(f"{path} cannot be read as a picture ({fault}); write it again") from fault


def read_square(path: Path) -> Rgba:
    """Read a square picture.

    Raises ValueError when it is not square.
    """
    rgba = read_picture(path)
    height, width, _ = rgba.shape
    if height != width:
        raise ValueError(f"{path} is {width} x {height} pixels; expected a square picture")
    return rgba


def read_tiles(path: Path, rows: int, columns: int) -> list[Rgba]:
    """Read the square tiles of a picture, row by row.

    Raises ValueError when it has another shape.
    """
    rgba = read_picture(path)
    height, width, _ = rgba.shape
    side = width // columns
    if (width, height) != (side * columns, side * rows) or not side:
        raise ValueError(
            f"{path} is {width} x {height} pixels; expected {rows} x {columns} square tiles (rows x columns), "
            f"so {columns} wide to {rows} high, such as {256 * columns} x {256 * rows}"
        )
    return list(_tiles(rgba, side))


def _tiles(rgba: Rgba, side: int) -> Iterator[Rgba]:
    for top in range(0, rgba.shape[0], side):
        for left in range(0, rgba.shape[1], side):
            yield rgba[top : top + side, left : left + side]


def with_mask(rgba: Rgba) -> Rgba:
    """Return a picture whose alpha says where the object is, and that looks as before on white.

    A picture with alpha is left as it is. In an opaque one the object is what differs from the median colour of the
    border, with its holes filled. A white border keeps its pixels: an almost white one becomes almost transparent, so
    that nothing changes on white. A border of another colour, such as grey, is removed.
    """
    if rgba[..., 3].min() < 255:
        return rgba
    border = np.concatenate([rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]])[:, :3]
    background = np.median(border, axis=0)
    mask = object_mask(rgba, background)
    if background.min() >= WHITE:
        return _off_white(rgba, mask)
    cut = rgba.copy()
    cut[~mask] = 0
    return cut


def object_mask(rgba: Rgba, background: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return where (H, W) a picture differs from the colour (3,) of its background, with holes filled."""
    distance = np.abs(rgba[..., :3].astype(float) - background).max(axis=-1)
    filled: npt.NDArray[np.bool_] = ndimage.binary_fill_holes(distance > MASK_STEP)
    return filled


def _off_white(rgba: Rgba, mask: npt.NDArray[np.bool_]) -> Rgba:
    """Make everything outside the mask as transparent as it can be without looking different on white."""
    darkness = 255.0 - rgba[..., :3]
    alpha = darkness.max(axis=-1, keepdims=True)
    colour = 255 - np.divide(255 * darkness, alpha, out=np.zeros_like(darkness), where=alpha > 0)
    clear = np.concatenate([np.where(alpha > 0, colour, 0), alpha], axis=-1)
    return np.where(mask[..., None], rgba, np.rint(clear).astype(np.uint8))
