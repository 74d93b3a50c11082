"""Brings the colours of an image from the space that its ICC profile, or PNG's gamma, describes to sRGB."""

import io

import numpy as np
from PIL import Image, ImageCms

SPACES = {"RGB": "RGB ", "RGBA": "RGB ", "L": "GRAY", "CMYK": "CMYK"}
"""ICC's name of the colour space that a profile must have to describe an image of each mode."""

USUAL_GAMMA = 1 / 2.2
"""PNG's gamma (gAMA) of images that are shown as they are."""
GAMMA_TOLERANCE = 0.05
"""Share by which a gamma can differ from the usual one and count as it, as in libpng."""
GAMMAS = (0.1, 10.0)
"""Smallest and largest gamma that is believed."""


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


def from_gamma(image: Image.Image, gamma: float) -> tuple[Image.Image, str]:
    """Convert an image that was stored with another gamma than usual to sRGB, as image viewers do.

    Args:
        image: RGB, RGBA or L.
        gamma: Exponent that linear light was stored with, as PNG's chunk gAMA says it: 1 for linear light, 1 / 2.2 is
            usual.

    Returns:
        The image, and a sentence about what was done; empty for the usual gamma and one that is none.
    """
    if abs(gamma / USUAL_GAMMA - 1) <= GAMMA_TOLERANCE or not GAMMAS[0] <= gamma <= GAMMAS[1]:
        return image, ""
    linear = (np.arange(256) / 255) ** (1 / gamma)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    table = np.rint(255 * srgb).astype(int).tolist()
    bands = [
        band if name == "A" else band.point(table) for name, band in zip(image.getbands(), image.split(), strict=True)
    ]
    return Image.merge(image.mode, bands), f"colours converted to sRGB from a gamma of {gamma:.2g}"
