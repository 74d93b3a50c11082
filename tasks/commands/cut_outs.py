"""Reads photos of an object and cuts the object out of each, before any model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.data.background import foreground_mask
from models.data.grabcut import Box, cut_in_box
from models.data.images import with_alpha
from models.data.learned_matte import MatteNetwork, load_matte_network
from models.data.masks import SOLID, alpha_of, checked, fitted, mask_of, require_same_shape, unpremultiplied
from models.data.photo_files import read_photo
from models.data.upright import Upright
from tasks.commands.sample_options import SampleOptions


@dataclass(frozen=True)
class CutOut:
    """What the model is given of a photo, before it is cropped."""

    image: Image.Image
    """RGBA with straight alpha, upright, sRGB."""
    story: str
    """What was done to the photo, in words."""


def cut_out_photos(options: SampleOptions) -> list[CutOut]:
    """Cut the object out of every photo.

    Raises:
        ValueError: Masks, boxes and `--matte` contradict each other, or a photo or its mask cannot be used; every such
            photo is named.
    """
    _check_choice(options)
    network = load_matte_network(options.matte_model) if options.matte == "rembg" else None
    masks: Sequence[Path | None] = options.mask or [None] * len(options.photos)
    boxes: Sequence[Box | None] = [_parse_box(box) for box in options.box or []] or [None] * len(options.photos)
    cut_outs, problems = [], []
    for path, mask, box in zip(options.photos, masks, boxes, strict=True):
        try:
            cut_outs.append(_cut_out(path, mask, box, options, network))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return cut_outs


def _check_choice(options: SampleOptions) -> None:
    count = len(options.photos)
    photos = "1 photo" if count == 1 else f"{count} photos"
    for name, given in (("--mask", options.mask), ("--box", options.box)):
        if given and len(given) != count:
            raise ValueError(f"masks must be as many as images: {name} is given {len(given)} times for {photos}")
    if options.mask and options.matte != "auto":
        raise ValueError(f"--mask and --matte {options.matte} both say what the object is; give one of them")
    if options.box and options.matte != "grabcut":
        raise ValueError("--box is what GrabCut starts from; give --matte grabcut too")
    if options.matte == "grabcut" and not options.box:
        raise ValueError("--matte grabcut needs --box X0,Y0,X1,Y1 for each photo, in pixels of the upright photo")


def _parse_box(words: str) -> Box:
    try:
        left, top, right, bottom = (float(word) for word in words.split(","))
    except ValueError:
        raise ValueError(f"--box is {words}; it must be four numbers X0,Y0,X1,Y1 such as 120,80,900,1040") from None
    return left, top, right, bottom


def _cut_out(
    path: Path, mask: Path | None, box: Box | None, options: SampleOptions, network: MatteNetwork | None
) -> CutOut:
    photo = read_photo(path)
    given = read_photo(mask, is_mask=True) if mask else None
    try:
        image, alpha, how = _matted(photo, given, box, options, network)
        share = float((np.asarray(checked(alpha)) > SOLID).mean())
        if options.as_is and image.width != image.height:
            raise ValueError(f"image is {photo.size[0]} x {photo.size[1]}; pad it to a square, or leave out --as-is")
    except ValueError as error:
        raise ValueError(f"{path}{f' with {mask}' if mask else ''}: {error}") from error
    steps = [f"{photo.size[0]} x {photo.size[1]}", *photo.notes, f"cut out by {how}, {share:.0%} of the image"]
    return CutOut(with_alpha(image, alpha), f"{path}: {', '.join(steps)}")


def _matted(
    photo: Upright, mask: Upright | None, box: Box | None, options: SampleOptions, network: MatteNetwork | None
) -> tuple[Image.Image, Image.Image, str]:
    """Return the photo's colours, its mask, and where the mask is from."""
    image = photo.image
    if mask is not None:
        require_same_shape(mask.size, photo.size)
        return image, fitted(mask_of(mask.image), image.size), "the given mask"
    if options.matte == "auto" and (own := alpha_of(image)) is not None:
        straight, was_premultiplied = unpremultiplied(image)
        return straight, own, f"its alpha{' (premultiplied colours divided by it)' if was_premultiplied else ''}"
    alpha, how = _segmented(photo, box, options, network)
    return image, alpha, how


def _segmented(
    photo: Upright, box: Box | None, options: SampleOptions, network: MatteNetwork | None
) -> tuple[Image.Image, str]:
    pixels = np.asarray(photo.image.convert("RGB"))
    if network is not None:
        return Image.fromarray(network.mask(pixels)), f"the network {Path(options.matte_model).name}"
    if box is not None:
        scale = photo.image.width / photo.size[0]
        left, top, right, bottom = box
        return Image.fromarray(
            cut_in_box(pixels, (left * scale, top * scale, right * scale, bottom * scale))
        ), "GrabCut"
    try:
        return Image.fromarray(foreground_mask(pixels)), "its plain background"
    except ValueError as error:
        raise ValueError(f"{error}; or choose --matte grabcut with --box, or --matte rembg") from error
