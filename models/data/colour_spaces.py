"""Colours that are told by name or by number and not by an ICC profile: CICP, DCF's Adobe RGB, PNG's primaries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Point = tuple[float, float]
Matrix = npt.NDArray[np.float64]
ROWS_AT_ONCE = 256
"""Rows that are converted at once, which bounds the memory."""
D65: Point = (0.3127, 0.3290)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Cone responses from XYZ, in which a white is adapted to another (ICC.1:2010, annex E)."""
SAME = 0.005
"""Difference of chromaticities below which two spaces are one; files round them to two or three places."""
LEAST_AREA = 0.01
"""Smallest area of a believable triangle of primaries; sRGB's has 0.11."""
LEAST_RESPONSE = 0.1
"""Smallest response of a cone to a believable white; it is 0.94 to D65 and 0.34 to the light of a bulb (A)."""


@dataclass(frozen=True)
class Primaries:
    """Chromaticities (x, y) of the colours that a space mixes, and of its white."""

    red: Point
    green: Point
    blue: Point
    white: Point = D65

    def is_like(self, other: "Primaries") -> bool:
        """Whether an image of one looks the same as one of the other."""
        return bool(np.abs(self._points() - other._points()).max() < SAME)

    @property
    def is_possible(self) -> bool:
        """Whether there are colours between them, and an eye that sees their white as white."""
        points = self._points()
        if points.min() < 0 or points.max() > 1 or points[:, 1].min() == 0:
            return False
        sides = np.array([np.subtract(self.green, self.red), np.subtract(self.blue, self.red)])
        cones = BRADFORD @ _xyz(points[3:])[:, 0]
        return bool(abs(np.linalg.det(sides)) / 2 >= LEAST_AREA and cones.min() > LEAST_RESPONSE)

    def xyz(self) -> Matrix:
        """Return the matrix from linear colours to XYZ, adapted to D65."""
        columns = _xyz(self._points())
        mixed, white = columns[:, :3], columns[:, 3]
        d65 = _xyz(np.array([D65]))[:, 0]
        adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ d65) / (BRADFORD @ white)) @ BRADFORD
        return np.asarray(adapted @ (mixed * np.linalg.solve(mixed, white)))

    def _points(self) -> Matrix:
        return np.array([self.red, self.green, self.blue, self.white], dtype=np.float64)


def _xyz(points: Matrix) -> Matrix:
    """Return X, Y and Z (3, N) of chromaticities (N, 2), as bright as white."""
    x, y = points.T
    return np.stack([x / y, np.ones(len(points)), (1 - x - y) / y])


SRGB = Primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB = Primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
ADOBE_GAMMA = 563 / 256
"""Adobe RGB (1998), 4.3.1.2."""
USUAL_GAMMA = 1 / 2.2
"""PNG's gamma (gAMA) of images that are shown as they are."""
GAMMA_TOLERANCE = 0.05
"""Share by which a gamma can differ from the usual one and count as it, as in libpng."""
GAMMAS = (0.1, 10.0)
"""Smallest and largest gamma that is believed."""
CICP_PRIMARIES: Mapping[int, tuple[str, Primaries]] = {
    1: ("sRGB", SRGB),
    5: ("PAL", Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: ("NTSC", Primaries((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))),
    7: ("NTSC", Primaries((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))),
    9: ("BT.2020", Primaries((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))),
    11: ("DCI-P3", Primaries((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351))),
    12: ("Display P3", Primaries((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))),
}
"""ITU-T H.273, table 2."""
CICP_GAMMAS: Mapping[int, float | None] = {1: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
"""ITU-T H.273, table 3; None: shown as sRGB is, which viewers do with television's curves too."""
UNKNOWN = 2
"""Number of CICP for primaries and for a curve that are not told."""
HIGH_RANGE: Mapping[int, str] = {16: "PQ", 18: "HLG"}
"""Curves of pictures that are brighter than white, which take tone mapping to be shown here."""


class Cicp(NamedTuple):
    """Numbers that tell the colours of a picture (coding-independent code points, ITU-T H.273)."""

    primaries: int
    transfer: int
    is_full_range: bool = True
    """0 to 255; otherwise 16 to 235, as in television."""


def from_cicp(image: Image.Image, cicp: Cicp) -> tuple[Image.Image, str]:
    """Convert an image to sRGB by the code points that its file has.

    Args:
        image: RGB, RGBA or L.
        cicp: Of its file.

    Returns:
        The image, and a sentence about what was done; empty for sRGB.

    Raises:
        ValueError: It is a picture of a high dynamic range.
    """
    if cicp.transfer in HIGH_RANGE:
        raise ValueError(
            f"is a picture of a high dynamic range ({HIGH_RANGE[cicp.transfer]}), which is not read; save it as an "
            "ordinary JPEG or PNG"
        )
    name, primaries = CICP_PRIMARIES[1] if cicp.primaries == UNKNOWN else CICP_PRIMARIES.get(cicp.primaries, ("", SRGB))
    if not name or cicp.transfer not in (UNKNOWN, *CICP_GAMMAS):
        return image, f"colours taken for sRGB: code points {cicp.primaries} and {cicp.transfer} are not known"
    gamma = CICP_GAMMAS.get(cicp.transfer)
    steps = np.arange(256) / 255 if cicp.is_full_range else (np.arange(256) - 16).clip(0, 219) / 219
    if cicp.is_full_range and gamma is None and primaries.is_like(SRGB):
        return image, ""
    how = ("" if gamma is None else f" with a gamma of {gamma:g}") + ("" if cicp.is_full_range else " of 16 to 235")
    return _converted(image, primaries, _linear(steps, gamma)), f"colours converted to sRGB from {name}{how}"


def from_adobe_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    """Convert an image of Adobe RGB (1998) to sRGB; return it and a sentence about what was done."""
    linear = _linear(np.arange(256) / 255, ADOBE_GAMMA)
    return _converted(image, ADOBE_RGB, linear), "colours converted to sRGB from Adobe RGB"


def from_png(image: Image.Image, gamma: float | None, chromaticity: Sequence[float] | None) -> tuple[Image.Image, str]:
    """Convert an image that was stored with another gamma or other primaries than usual to sRGB, as viewers do.

    Args:
        image: RGB, RGBA or L.
        gamma: Exponent that linear light was stored with, as PNG's chunk gAMA says it: 1 for linear light, 1 / 2.2 is
            usual. None: the file has no such chunk.
        chromaticity: x and y of white, red, green and blue, as PNG's chunk cHRM says them; None as above.

    Returns:
        The image, and a sentence about what was done; empty for usual values and ones that cannot be.
    """
    is_usual = gamma is None or abs(gamma / USUAL_GAMMA - 1) <= GAMMA_TOLERANCE or not GAMMAS[0] <= gamma <= GAMMAS[1]
    primaries = _primaries(chromaticity)
    if is_usual and primaries.is_like(SRGB):
        return image, ""
    how = [] if gamma is None or is_usual else [f"a gamma of {gamma:.2g}"]
    how += [] if primaries.is_like(SRGB) else ["primaries of its own"]
    linear = _linear(np.arange(256) / 255, None if gamma is None or is_usual else 1 / gamma)
    return _converted(image, primaries, linear), f"colours converted to sRGB from {' and '.join(how)}"


def _primaries(chromaticity: Sequence[float] | None) -> Primaries:
    """Return those of PNG's chunk cHRM; sRGB's where there is none, or none that can be."""
    if chromaticity is None or len(chromaticity) != 8:
        return SRGB
    white, red, green, blue = zip(chromaticity[::2], chromaticity[1::2], strict=True)
    found = Primaries(red, green, blue, white)
    return found if found.is_possible else SRGB


def _linear(values: Matrix, gamma: float | None) -> Matrix:
    """Return the light, 0 to 1, of stored values; None stands for sRGB's curve (IEC 61966-2-1)."""
    if gamma is not None:
        return np.asarray(values**gamma)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _converted(image: Image.Image, primaries: Primaries, linear: Matrix) -> Image.Image:
    """Convert RGB, RGBA or L to sRGB; `linear` is the light (256,) of each stored value. Colours beyond it are cut."""
    srgb_from_space = np.linalg.inv(SRGB.xyz()) @ primaries.xyz()
    table = linear.astype(np.float32)
    converted = image.copy() if image.mode in ("RGB", "RGBA") else image.convert("RGB")
    for top in range(0, image.height, ROWS_AT_ONCE):
        strip = converted.crop((0, top, image.width, min(top + ROWS_AT_ONCE, image.height)))
        light = (table[np.asarray(strip)[..., :3]] @ srgb_from_space.T.astype(np.float32)).clip(0, 1)
        stored = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        colours = Image.fromarray(np.rint(255 * stored).astype(np.uint8))
        if "A" in strip.getbands():
            colours.putalpha(strip.getchannel("A"))
        converted.paste(colours, (0, top))
    return converted
