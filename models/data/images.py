"""Pictures at the door: PIL images or uint8 arrays, RGBA with straight alpha, to tensors and back."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from models.data.background import foreground_mask

Picture = Image.Image | npt.NDArray[np.uint8]
"""Grey, RGB or RGBA with straight alpha; arrays are (height, width), (height, width, 3) or (height, width, 4)."""
USUAL_SHARE = 0.5
"""Of the picture's side that the object takes: 0.58 to 0.39 from distances 1.5 to 2.2 at 60 degrees (sec. 5.1)."""


def as_pil(picture: Picture, mask: Picture | None = None) -> Image.Image:
    """The picture as RGBA.

    Its mask is `mask` (grey, white is the object), or its own alpha, or found where it stands before a plain
    background. Raises ValueError when there is none, or when the mask is of another size.
    """
    image = _pil(picture)
    if mask is not None:
        alpha = _pil(mask).convert("L")
        if alpha.size != image.size:
            raise ValueError(f"the mask is {alpha.width} x {alpha.height} and its image {image.width} x {image.height}")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    else:
        alpha = Image.fromarray(foreground_mask(np.asarray(image.convert("RGB"))))
    rgba = image.convert("RGB")
    rgba.putalpha(alpha)
    return rgba


def crop_to_object(image: Image.Image, share: float = USUAL_SHARE) -> Image.Image:
    """A square around the object, whose longest side takes `share` of it: how the network has seen objects.

    Measured where the object hides at least half of what is behind it. Beyond the picture it is transparent.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}; the object can take more than 0 and at most 1 of the picture's side")
    solid = image.getchannel("A").point(lambda alpha: 255 * (alpha > 127))
    left, top, right, bottom = solid.getbbox() or (0, 0, image.width, image.height)
    side = math.ceil(max(right - left, bottom - top) / share)
    x, y = (left + right - side) // 2, (top + bottom - side) // 2
    return image.crop((x, y, x + side, y + side))


def change_fov(image: Image.Image, from_deg: float, to_deg: float) -> Image.Image:
    """What a camera with field of view `to_deg` sees from where the square picture was taken at `from_deg`.

    A crop, or a transparent margin; the size in pixels changes along.
    """
    for degrees in (from_deg, to_deg):
        if not 0 < degrees < 180:
            raise ValueError(f"a field of view is {degrees} degrees; it must lie between 0 and 180")
    ratio = math.tan(math.radians(to_deg) / 2) / math.tan(math.radians(from_deg) / 2)
    side = max(1, round(image.width * ratio))
    low = round((image.width - side) / 2)
    return image.crop((low, low, low + side, low + side))


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


def as_unit_tensor(pixels_BHW4: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels as float32 (B, 4, H, W) in [0, 1] on `device`."""
    return torch.from_numpy(pixels_BHW4).to(device).permute(0, 3, 1, 2).contiguous().float() / 255


def to_arrays(rgba_N4HW: Tensor) -> list[npt.NDArray[np.uint8]]:
    """The inverse of `to_tensor`, as uint8 arrays (H, W, 4)."""
    levels = (rgba_N4HW.clamp(0, 1) * 255).round().to("cpu", torch.uint8)
    return list(levels.permute(0, 2, 3, 1).contiguous().numpy())


def _pil(picture: Picture) -> Image.Image:
    return picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
