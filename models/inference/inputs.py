"""The images that users of diffusers hand in (one or many, files, PIL images, arrays, tensors) as lists per object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.data.photo_files import read_photo
from models.data.pixels import Pixels

AnyImage = Image.Image | np.ndarray | Tensor | str | Path
"""A PIL image, pixels (H, W[, 1, 3 or 4]), a tensor ([1, 3 or 4, ]H, W) or a file."""
FORMS = (
    "a PIL image, a path, an array (H, W), (H, W, 3) or (H, W, 4), or a tensor (1, 3 or 4, H, W); a list of these, or "
    "an array or tensor with one axis more, is one object, and a list of such lists several objects"
)


def as_objects(images: Any, name: str = "images") -> tuple[list[list[Any]], bool]:
    """Sort images by object.

    Args:
        images: An image, the images of one object, or a list of such lists. Images are PIL images, paths, arrays
            (H, W[, C]) or tensors (C, H, W); an array or tensor of four axes is the images of one object, one of five
            the images of several.
        name: Of the argument, for the sentences of errors.

    Returns:
        A list of images per object, and whether several objects were asked for.

    Raises:
        ValueError: Something else was given, or nothing.
    """
    axes = _axes(images)
    if axes == 0:
        raise ValueError(f"{name} is {_kind(images)}; give {FORMS}")
    if axes < 4:
        return [[images]], False
    if axes == 4:
        return [_not_empty(images, name)], False
    objects = [list(views) for views in _not_empty(images, name)]
    return [_not_empty(views, name) for views in objects], True


def to_picture(image: Any, *, is_mask: bool = False) -> Image.Image | Pixels:
    """Convert one image to what `models.data.images.as_rgba` reads, keeping its values.

    Args:
        image: PIL image, path, array (H, W), (H, W, 1, 3 or 4) or tensor (H, W), (1, 3 or 4, H, W): uint8, bool, or
            floats from 0 to 1.
        is_mask: It is a mask and no photo.

    Raises:
        ValueError: The file cannot be read, or axes, type or values are others.
    """
    if isinstance(image, str | Path):
        return read_photo(Path(image), is_mask=is_mask).image
    if isinstance(image, Image.Image):
        return image
    return _levels(_channels_last(image))


def _axes(images: Any) -> int:
    """Axes that `images` has as an array: 3 or less for one image, 4 for a list of images, 5 for a list of lists."""
    if isinstance(images, str | Path | Image.Image):
        return 3
    if isinstance(images, np.ndarray | Tensor):
        return images.ndim if 2 <= images.ndim <= 5 else 0
    if not isinstance(images, list | tuple):
        return 0
    inner = [_axes(image) for image in images]
    if any(axes in (0, 5) for axes in inner) or len({axes == 4 for axes in inner}) > 1:
        return 0
    return 5 if 4 in inner else 4


def _not_empty(images: Any, name: str) -> list[Any]:
    if len(images) == 0:
        raise ValueError(f"{name} is empty, or those of an object are; give at least one per object")
    return list(images)


def _kind(images: Any) -> str:
    if isinstance(images, np.ndarray | Tensor):
        return f"of shape {tuple(images.shape)}"
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return f"a {type(images).__name__} of {', '.join(sorted({type(image).__name__ for image in images}))}"
    return f"a {type(images).__name__}"


def _channels_last(image: Any) -> np.ndarray:
    """An array (H, W) or (H, W, 3 or 4) of an array or tensor; raises ValueError for other axes."""
    is_tensor = isinstance(image, Tensor)
    axis, wanted = (0, "(1, 3 or 4, H, W)") if is_tensor else (-1, "(H, W, 1, 3 or 4)")
    if image.ndim == 3 and image.shape[axis] not in (1, 3, 4):
        raise ValueError(f"has shape {tuple(image.shape)}; give {'a tensor' if is_tensor else 'an array'} {wanted}")
    if is_tensor:
        image = image.detach().cpu()
        image = image.float() if image.dtype == torch.bfloat16 else image
        image = image.movedim(0, -1).numpy() if image.ndim == 3 else image.numpy()
    return image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image


def _levels(values: np.ndarray) -> Pixels:
    """The values as uint8; raises ValueError for types and ranges whose meaning is not sure."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype == bool:
        return np.where(values, np.uint8(255), np.uint8(0))
    if values.dtype.kind != "f":
        raise ValueError(f"has values of type {values.dtype}; give uint8 from 0 to 255, or floats from 0 to 1")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"has floats from {low:g} to {high:g}; give floats from 0 to 1, or uint8 from 0 to 255")
    return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
