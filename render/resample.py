"""Brings images to another size: by area on the way down, bicubic on the way up; colours premultiplied meanwhile."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from render.images import Rgba

Floats = npt.NDArray[np.float32]


def resample(rgba: Rgba, side: int) -> Rgba:
    """Return a square image at another size.

    Args:
        rgba: uint8 (H, H, 4), straight alpha.
        side: Of the result, in pixels. Where it is smaller, each pixel is the exact mean over its area.

    Returns uint8 (side, side, 4), straight alpha.
    """
    return rgba if rgba.shape[0] == side else resample_square(rgba, 0, rgba.shape[0], side)


def resample_square(rgba: Rgba, low: float, high: float, side: int) -> Rgba:
    """Return the square from `low` to `high` of an image, along both sides, as an image of `side` pixels.

    Args:
        rgba: uint8 (H, H, 4), straight alpha.
        low: Edge of the square in pixels; below 0 what lies outside of the image is transparent.
        high: The other edge, above H likewise.
        side: Of the result, in pixels.

    Returns uint8 (side, side, 4), straight alpha.
    """
    margin = max(0, int(np.ceil(max(-low, high - rgba.shape[0]))))
    padded = np.pad(_premultiplied(rgba), ((margin, margin), (margin, margin), (0, 0)))
    low, high = low + margin, high + margin
    if high - low >= side:
        weights = _shares(low, high, padded.shape[0], side)
        return _straight(np.einsum("ih,hwc,jw->ijc", weights, padded, weights, optimize=True))
    bands = [
        Image.fromarray(padded[..., band]).resize((side, side), Image.Resampling.BICUBIC, box=(low, low, high, high))
        for band in range(4)
    ]
    return _straight(np.stack([np.asarray(band) for band in bands], axis=-1))


def _shares(low: float, high: float, before: int, side: int) -> Floats:
    """Return the share (side, before) that each pixel before has in each pixel after."""
    edges = np.linspace(low, high, side + 1)
    pixels = np.arange(before)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(0) * side / (high - low)).astype(np.float32)


def _premultiplied(rgba: Rgba) -> Floats:
    image = rgba.astype(np.float32) / 255
    image[..., :3] *= image[..., 3:]
    return image


def _straight(image: Floats) -> Rgba:
    alpha = image[..., 3:].clip(0, 1)
    colour = np.divide(image[..., :3], alpha, out=np.zeros_like(image[..., :3]), where=alpha > 1 / 510)
    return np.round(np.concatenate([colour.clip(0, 1), alpha], axis=-1) * 255).astype(np.uint8)
