"""Reads photos of an object and cuts the object out of each, before any model is loaded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.data.background import foreground_mask
from models.data.findings import findings
from models.data.grabcut import Box, cut_in_box
from models.data.images import with_alpha
from models.data.learned_matte import MatteNetwork, load_matte_network
from models.data.masks import SOLID, alpha_of, checked, fitted, mask_of, require_same_shape, unpremultiplied
from models.data.photo_files import MAX_MEGAPIXELS, read_photo
from models.data.upright import Upright
from tasks.commands.sample_options import SampleOptions


@dataclass(frozen=True)
class CutOut:
    """What the model is given of a photo, before it is cropped."""

    image: Image.Image
    """RGBA with straight alpha, upright, sRGB."""
    name: str
    """Of the photo."""
    steps: tuple[str, ...]
    """What was done to the photo, in words."""
    warnings: tuple[str, ...] = ()
    """What may spoil the views, a sentence each."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels of the upright photo, which boxes are given in."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal pictures."""
        return hashlib.sha256(repr(self.image.size).encode() + self.image.tobytes()).hexdigest()

    @property
    def story(self) -> str:
        """What was done to the photo and what may spoil the views, in one line."""
        return "; ".join([f"{self.name}: {', '.join(self.steps)}", *self.warnings])


@dataclass(frozen=True)
class Matting:
    """How the object of a photo is found."""

    reads_alpha: bool = True
    """An alpha that is a mask says what the object is."""
    network: MatteNetwork | None = None
    """Finds the object where neither mask nor alpha says it; None: it stands before a plain background."""
    network_name: str = ""
    is_square: bool = False
    """Photos must be square, since they are not cropped."""
    max_megapixels: float = MAX_MEGAPIXELS
    remedy: str = ""
    """What else helps where the background is not plain, as the end of a sentence."""
    alpha_remedy: str = ""
    """What helps where the alpha cannot be a mask, as the end of a sentence."""


def cut_out_photos(options: SampleOptions) -> list[CutOut]:
    """Cut the object out of every photo.

    Raises:
        ValueError: Masks, boxes and `--matte` contradict each other, or a photo or its mask cannot be used; every such
            photo is named.
    """
    _check_choice(options)
    matting = Matting(
        reads_alpha=options.matte == "auto",
        network=load_matte_network(options.matte_model) if options.matte == "rembg" else None,
        network_name=Path(options.matte_model).name,
        is_square=options.as_is,
        remedy="; or choose --matte grabcut with --box, or --matte rembg",
        alpha_remedy=", which --matte plain leaves out",
    )
    masks: Sequence[Path | None] = options.mask or [None] * len(options.photos)
    boxes: Sequence[Box | None] = [_parse_box(box) for box in options.box or []] or [None] * len(options.photos)
    cut_outs, problems = [], []
    for path, mask, box in zip(options.photos, masks, boxes, strict=True):
        try:
            cut_outs.append(cut_out(path, matting, mask=mask, box=box))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return cut_outs


def cut_out(path: Path, matting: Matting, *, mask: Path | None = None, box: Box | None = None) -> CutOut:
    """Cut the object out of one photo.

    Args:
        path: The photo.
        matting: How the object is found.
        mask: White, or opaque, is the object; None: there is no such file.
        box: Around the object, in pixels of the upright photo, for GrabCut; None: there is none.

    Raises:
        ValueError: The photo or its mask cannot be used; the sentence names both.
    """
    photo = read_photo(path, max_megapixels=matting.max_megapixels)
    given = read_photo(mask, is_mask=True, max_megapixels=matting.max_megapixels) if mask else None
    try:
        image, alpha, how = _matted(photo, given, box, matting)
        share = float((np.asarray(alpha) > SOLID).mean())
        if matting.is_square and image.width != image.height:
            raise ValueError(f"image is {photo.size[0]} x {photo.size[1]}; pad it to a square, or leave out --as-is")
    except ValueError as error:
        raise ValueError(f"{path}{f' with {mask}' if mask else ''}: {error}") from error
    steps = (f"{photo.size[0]} x {photo.size[1]}", *photo.notes, f"cut out by {how}, {share:.0%} of the image")
    return CutOut(with_alpha(image, alpha), str(path), steps, findings(alpha), photo.size)


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


def _matted(
    photo: Upright, mask: Upright | None, box: Box | None, matting: Matting
) -> tuple[Image.Image, Image.Image, str]:
    """Return the photo's colours, a mask that can be an object's, and where the mask is from."""
    image = photo.image
    if mask is not None:
        require_same_shape(mask.size, photo.size)
        return image, checked(fitted(mask_of(mask.image), image.size)), "the given mask"
    if matting.reads_alpha and (own := alpha_of(image)) is not None:
        straight, was_premultiplied = unpremultiplied(image)
        how = f"its alpha{' (premultiplied colours divided by it)' if was_premultiplied else ''}"
        return straight, _checked_alpha(own, matting), how
    alpha, how = _segmented(photo, box, matting)
    return image, checked(alpha), how


def _checked_alpha(alpha: Image.Image, matting: Matting) -> Image.Image:
    try:
        return checked(alpha)
    except ValueError as error:
        raise ValueError(f"{error}; the mask is the picture's own alpha{matting.alpha_remedy}") from error


def _segmented(photo: Upright, box: Box | None, matting: Matting) -> tuple[Image.Image, str]:
    pixels = np.asarray(photo.image.convert("RGB"))
    if matting.network is not None:
        return Image.fromarray(matting.network.mask(pixels)), f"the network {matting.network_name}"
    if box is not None:
        return Image.fromarray(cut_in_box(pixels, box, photo.size)), "GrabCut"
    try:
        return Image.fromarray(foreground_mask(pixels)), "its plain background"
    except ValueError as error:
        raise ValueError(f"{error}{matting.remedy}") from error
