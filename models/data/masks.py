"""Masks as users hand them in: which pixels belong to the object, and what cannot be a mask."""

# Shapes: H and W image size

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.data.pixels import Pixels, border_of

SOLID = 127
"""Alpha above which a pixel belongs to the object."""
OPAQUE = 250
"""Smallest alpha of an image that is opaque everywhere; lossy formats and editors leave a little below 255."""
FEWEST_PIXELS = 16
"""An object of fewer pixels is taken for specks."""
MOST = 0.995
"""Share of the image above which the object covers everything."""
MOST_LABELS = 40
"""Brightest value of a mask that looks like a map of labels."""
BORDER = 0.6
"""Share of the image's border that an object can cover, unless it covers nearly as much of the image."""
BORDER_EXCESS = 0.1
"""How much more of the border than of the image an object can cover; what covers more lies around the object."""
BORDER_MOST = 0.8
"""Share of the image's border that no object can cover."""
SOFT_PIXELS = 32
"""Fewest half-transparent pixels from which premultiplied colours are recognised."""
LEAST_CORRELATION = 0.3
"""Smallest correlation of brightness with alpha that premultiplied colours have."""


def mask_of(image: Image.Image) -> Image.Image:
    """Read a mask (grey, 0 to 255, white is the object) from an image whose alpha or brightness is the mask.

    A mask of two values, such as 0 and 1, becomes one of 0 and 255.

    Args:
        image: RGB or RGBA, upright. Alpha that is not the same everywhere is the mask, otherwise the brightness is.
    """
    if image.mode == "RGBA":
        lowest, highest = image.getchannel("A").getextrema()
        if lowest != highest:
            return _two_levels(image.getchannel("A"))
    return _two_levels(image.convert("RGB").convert("L"))


def alpha_of(image: Image.Image) -> Image.Image | None:
    """Return the alpha of an image where it is a mask; None for an image without alpha or with an opaque one.

    An alpha of two values, such as 0 and 1, becomes one of 0 and 255.
    """
    if image.mode != "RGBA":
        return None
    alpha = image.getchannel("A")
    return None if np.asarray(alpha).min() >= OPAQUE else _two_levels(alpha)


def require_same_shape(mask: tuple[int, int], image: tuple[int, int]) -> None:
    """Raise ValueError when a mask has another ratio of width to height than its image, but for rounding.

    Args:
        mask: Its width and height in pixels, upright.
        image: Its width and height in pixels, upright.
    """
    scale = max(mask[0] / image[0], mask[1] / image[1])
    if max(abs(mask[0] - scale * image[0]), abs(mask[1] - scale * image[1])) > max(1.0, scale):
        is_turned = abs(mask[0] * image[0] - mask[1] * image[1]) <= max(image)
        hint = "; it was made before the photo was turned upright: turn it too" if is_turned else ""
        raise ValueError(f"the mask is {mask[0]} x {mask[1]} and its image {image[0]} x {image[1]}{hint}")


def fitted(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize a mask to the size of its image; both have the same ratio of width to height, but for rounding.

    Raises:
        ValueError: The mask has another shape, as one that was made before the photo was turned upright has.
    """
    if mask.size == size:
        return mask
    require_same_shape(mask.size, size)
    return mask.resize(size, Image.Resampling.BICUBIC if mask.width < size[0] else Image.Resampling.BOX)


def checked(alpha: Image.Image) -> Image.Image:
    """Return a mask that can be an object's.

    Raises:
        ValueError: It covers nothing, everything, or the border of the image, as an inverted mask does; the sentence
            has the shares.
    """
    solid = np.asarray(alpha) > SOLID
    share, pixels = float(solid.mean()), int(solid.sum())
    if pixels == 0:
        brightest = np.asarray(alpha).max()
        level = f"its brightest value is {brightest} of 255" if brightest else "it is 0 everywhere"
        if 0 < brightest <= MOST_LABELS:
            level += ", as in a map of labels: make the object's label white and the others black"
        raise ValueError(f"the mask covers 0 % of the image ({level}); white, or opaque, is the object")
    if share > MOST:
        raise ValueError(f"the mask covers {share:.1%} of the image; only the object must be white, or opaque")
    if pixels < FEWEST_PIXELS:
        raise ValueError(f"the mask covers {pixels} pixels, {share:.2%} of the image; that is no object")
    border = float(border_of(solid).mean())
    if border > BORDER_MOST or (border > BORDER and border > share + BORDER_EXCESS):
        raise ValueError(
            f"the mask covers {border:.0%} of the image's border and {share:.0%} of the image; if it is inverted, "
            "invert it (white, or opaque, is the object), otherwise leave a margin around the object"
        )
    return alpha


def unpremultiplied(image: Image.Image) -> tuple[Image.Image, bool]:
    """Divide premultiplied colours by alpha; return the image and whether its colours were premultiplied.

    They are taken for premultiplied where no colour of a half-transparent pixel exceeds its alpha and the brightness
    follows alpha more than brightness divided by alpha does. PNG and WebP have straight alpha, but some programs write
    premultiplied colours, which leaves a dark seam.

    Args:
        image: RGBA.
    """
    rgba = np.asarray(image).astype(np.float32)
    soft = (rgba[..., 3] > 0) & (rgba[..., 3] < OPAQUE)
    alpha, brightest = rgba[soft, 3], rgba[soft, :3].max(axis=1)
    if len(alpha) < SOFT_PIXELS or (brightest > alpha + 1).any():
        return image, False
    if _correlation(brightest, alpha) <= max(LEAST_CORRELATION, abs(_correlation(brightest / alpha, alpha))):
        return image, False
    straight: Pixels = np.asarray(image).copy()
    straight[soft, :3] = np.rint(np.minimum(255, rgba[soft, :3] * (255 / alpha[:, None])))
    return Image.fromarray(straight), True


def _correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Pearson's correlation; 0 where a series is constant."""
    spread = float(first.std() * second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean()) / spread if spread > 0 else 0.0


def _two_levels(mask: Image.Image) -> Image.Image:
    """Spread a mask of exactly two values to 0 and 255."""
    levels = [level for level, count in enumerate(mask.histogram()) if count]
    if len(levels) != 2 or levels == [0, 255]:
        return mask
    return mask.point(lambda level: 255 * (level == levels[1]))
