"""From the images that users hand in to tensors and back; RGBA with straight alpha throughout.

The one home of compositing on white: `on_white` for PIL images, `composite_on_white` for tensors and arrays of any
layout.
"""

# Shapes: N image, H and W image size

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from models.data.background import foreground_mask
from models.data.masks import alpha_of, checked, fitted, mask_of
from models.data.pixels import ImageInput, Pixels
from models.data.upright import WORKING_SIDE, make_upright

Values = TypeVar("Values", Tensor, npt.NDArray[np.float32])
USUAL_SHARE = 0.5
"""Usual ratio of object size to image side: 0.58 to 0.39 at distances 1.5 to 2.2 and 60 degrees (sec. 5.1)."""
MOST_SIDE = 2 * WORKING_SIDE
"""Side in pixels of the largest square that is cropped: what the usual share makes of the largest object."""


def as_rgba(image: ImageInput, mask: ImageInput | None = None) -> Image.Image:
    """Convert an image to upright 8-bit sRGB with an alpha that is the object's mask.

    Args:
        image: Any mode of Pillow, or pixels: with alpha, or before a plain background, or with `mask`. EXIF's
            orientation and the colour profile of a PIL image are applied; it is made smaller where it has more than
            `models.data.upright.WORKING_SIDE` pixels along a side.
        mask: White, or opaque, is the object; replaces the image's own alpha. None: the alpha of the image, or where
            it has none or an opaque one what stands before its plain background.

    Raises:
        ValueError: The mask has another shape than the image, covers nothing, everything or the image's border, or
            the background is not plain.
    """
    upright = make_upright(_pil(image)).image
    if mask is not None:
        alpha = checked(fitted(mask_of(make_upright(_pil(mask), is_mask=True).image), upright.size))
    else:
        own = alpha_of(upright)
        alpha = checked(own) if own else Image.fromarray(foreground_mask(np.asarray(upright.convert("RGB"))))
    return with_alpha(upright, alpha)


def rendered_rgba(image: ImageInput) -> Image.Image:
    """Return an image that a renderer left: upright, straight RGBA of 8 bits, whose alpha is right whatever it covers.

    Args:
        image: RGBA.

    Raises:
        ValueError: It is no RGBA.
    """
    pil = _pil(image)
    if pil.mode != "RGBA":
        raise ValueError(f"an image is {pil.mode}; without check_masks give RGBA images, whose alpha is the mask")
    return pil


def with_alpha(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the colours of an RGB or RGBA image with another alpha (grey, of the same size)."""
    rgba = image.convert("RGB")
    rgba.putalpha(alpha)
    return rgba


def crop_to_object(image: Image.Image, share: float = USUAL_SHARE) -> Image.Image:
    """Crop a square centred on the object, as the training images are framed; transparent beyond the image.

    A square of more than `MOST_SIDE` pixels along a side is made smaller.

    Args:
        image: RGBA; the object is where alpha is above one half.
        share: Ratio of the object's longest side in pixels to the side of the square, in (0, 1].

    Raises:
        ValueError: `share` is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; the object can take more than 0 and at most 1 of the image's side")
    solid = image.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
    left, top, right, bottom = solid.getbbox() or (0, 0, image.width, image.height)
    side = math.ceil(max(right - left, bottom - top) / share)
    return _square(image, (left + right - side) // 2, (top + bottom - side) // 2, side)


def change_fov(image: Image.Image, from_deg: float, to_deg: float) -> Image.Image:
    """Crop or pad an image so that it shows another field of view from the same place; its size changes along.

    A result of more than `MOST_SIDE` pixels along a side is made smaller. Not render/fov.py, which resamples to the
    same size.

    Args:
        image: Square RGBA; the margin is transparent.
        from_deg: Full field of view that it was taken with, in degrees.
        to_deg: Full field of view that the result shows, in degrees.

    Raises:
        ValueError: A field of view is not between 0 and 180 degrees.
    """
    for degrees in (from_deg, to_deg):
        if not 0 < degrees < 180:
            raise ValueError(f"a field of view is {degrees} degrees; it must lie between 0 and 180")
    ratio = math.tan(math.radians(to_deg) / 2) / math.tan(math.radians(from_deg) / 2)
    side = max(1, round(image.width * ratio))
    low = round((image.width - side) / 2)
    return _square(image, low, low, side)


def resized(image: Image.Image, side: int) -> Image.Image:
    """Resize a square RGBA image to `side` pixels, premultiplied meanwhile so that no hidden colour bleeds in.

    Raises:
        ValueError: The image is not square.
    """
    if image.width != image.height:
        raise ValueError(f"image is {image.width} x {image.height}; pad it to a square around the object")
    if image.width == side:
        return image
    return image.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")


def on_white(image: Image.Image) -> Image.Image:
    """Composite an RGBA image on white and return RGB."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def composite_on_white(rgb: Values, alpha: Values) -> Values:
    """Composite straight-alpha colours in [0, 1] on white; `alpha` broadcasts against `rgb`."""
    return rgb * alpha + (1 - alpha)


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """Convert equally large RGBA images to a float32 tensor (N, 4, H, W) in [0, 1]."""
    return torch.stack([torch.from_numpy(np.array(image)) for image in images]).permute(0, 3, 1, 2).float() / 255


def as_unit_tensor(pixels_BHW4: Pixels, device: torch.device) -> Tensor:
    """Convert RGBA pixels to a float32 tensor (B, 4, H, W) in [0, 1] on `device`."""
    return torch.from_numpy(pixels_BHW4).to(device).permute(0, 3, 1, 2).contiguous().float() / 255


def to_arrays(rgba_N4HW: Tensor) -> list[Pixels]:
    """Convert RGBA in [0, 1] to N arrays (H, W, 4), clamped and rounded to 8 bits."""
    levels = (rgba_N4HW.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return list(levels.permute(0, 2, 3, 1).contiguous().numpy())


def _square(image: Image.Image, left: int, top: int, side: int) -> Image.Image:
    """Crop a square of an RGBA image, transparent beyond it and at most `MOST_SIDE` pixels wide."""
    if side <= MOST_SIDE:
        return image.crop((left, top, left + side, top + side))
    ratio = MOST_SIDE / side
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    small = image.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    x, y = round(left * ratio), round(top * ratio)
    return small.crop((x, y, x + MOST_SIDE, y + MOST_SIDE))


def _pil(image: ImageInput) -> Image.Image:
    return image if isinstance(image, Image.Image) else Image.fromarray(image)
