"""Pictures at the door: PIL images or uint8 arrays, RGBA with straight alpha, to tensors and back."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

Picture = Image.Image | npt.NDArray[np.uint8]
"""RGBA with straight alpha; arrays are (height, width, 4)."""


def as_pil(picture: Picture) -> Image.Image:
    """The picture as PIL; raises ValueError unless it has an alpha channel, because the network needs the mask."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if image.mode != "RGBA":
        raise ValueError(f"image mode is {image.mode}; RGBA is needed, with the object's mask as alpha")
    return image


def resized(image: Image.Image, side: int) -> Image.Image:
    """A square picture of `side` pixels; colours are premultiplied meanwhile, so nothing bleeds out of the mask."""
    if image.width != image.height:
        raise ValueError(f"image is {image.width} x {image.height}; pad it to a square around the object")
    if image.width == side:
        return image
    return image.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")


def on_white(image: Image.Image) -> Image.Image:
    """The RGBA picture composited on white, as RGB."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """(N, 4, H, W) in [0, 1], straight alpha."""
    return torch.stack([torch.from_numpy(np.array(image)) for image in images]).permute(0, 3, 1, 2).float() / 255


def to_arrays(rgba_N4HW: Tensor) -> list[npt.NDArray[np.uint8]]:
    """The inverse of `to_tensor`, as uint8 arrays (H, W, 4)."""
    levels = (rgba_N4HW.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return list(levels.permute(0, 2, 3, 1).contiguous().numpy())
