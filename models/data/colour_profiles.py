"""Brings the colours of an image from the space that its ICC profile describes to sRGB."""

import io

from PIL import Image, ImageCms

SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""ICC's name of the colour space that a profile must have to describe an image of each mode."""


def to_srgb(image: Image.Image, profile: bytes, *, is_grey: bool = False) -> tuple[Image.Image, str]:
    """Convert an image to sRGB by the profile that it carries.

    A profile that cannot be read, or that describes another kind of image (a grey profile in an RGB image), is ignored
    as image viewers do.

    Args:
        image: RGB, RGBA, L or CMYK.
        profile: ICC profile, as in a file.
        is_grey: The file holds a grey image, whatever the mode now: its channels of colour are equal.

    Returns:
        The image, RGBA or RGB where colours were converted, and a sentence about what was done; empty for a profile
        that is sRGB's.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip() or "without a name"
    except (OSError, ImageCms.PyCMSError):
        return image, "colour profile ignored: it cannot be read"
    is_grey = is_grey and source.profile.xcolor_space == "GRAY"
    if not is_grey and source.profile.xcolor_space != SPACES[image.mode]:
        return image, f"colour profile {name} ignored: it is for {source.profile.xcolor_space.strip()} images"
    if name.startswith("sRGB"):
        return image, ""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.getchannel(0) if is_grey else image.convert("RGB") if alpha else image
    try:
        converted = ImageCms.profileToProfile(colours, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except ImageCms.PyCMSError as error:
        return image, f"colour profile {name} ignored: {error}"
    assert converted is not None  # None is for in-place conversion
    if alpha:
        converted.putalpha(alpha)
    return converted, f"colours converted to sRGB from {name}"
