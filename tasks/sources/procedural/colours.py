"""Colours as sRGB triples in [0, 1], and random ones."""

import colorsys

import numpy as np

Colour = tuple[float, float, float]

WHITE: Colour = (0.96, 0.95, 0.92)
INK: Colour = (0.07, 0.07, 0.09)
STEEL: Colour = (0.78, 0.80, 0.83)
BRASS: Colour = (0.90, 0.70, 0.32)
LEAF: Colour = (0.20, 0.58, 0.22)
SOIL: Colour = (0.24, 0.14, 0.08)

_NAMES = (
    (0.03, "red"), (0.10, "orange"), (0.18, "yellow"), (0.25, "lime"), (0.42, "green"), (0.52, "teal"),
    (0.68, "blue"), (0.80, "violet"), (0.93, "pink"), (1.01, "red"),
)  # fmt: skip


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """Return the colour of a hue (any real number, period 1), a saturation and a value."""
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def vivid(rng: np.random.Generator, hue: float | None = None) -> Colour:
    """Return a strong, bright colour, of about `hue` if that is given; greens and magentas are kept from glaring."""
    tone = (rng.uniform() if hue is None else hue + rng.uniform(-0.025, 0.025)) % 1.0
    glare = np.exp(-(((tone - 0.34) / 0.09) ** 2)) + 0.5 * np.exp(-(((tone - 0.83) / 0.06) ** 2))
    return hsv(tone, rng.uniform(0.72, 0.92), rng.uniform(0.82, 0.97) - 0.22 * float(glare))


def pale(rng: np.random.Generator, hue: float | None = None) -> Colour:
    """Return a light, soft colour, of about `hue` if that is given."""
    tone = rng.uniform() if hue is None else hue + rng.uniform(-0.03, 0.03)
    return hsv(tone, rng.uniform(0.12, 0.30), rng.uniform(0.92, 0.99))


def trio(rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """Return three vivid colours far apart on the colour wheel."""
    hue, step = rng.uniform(), rng.uniform(0.28, 0.40)
    return vivid(rng, hue), vivid(rng, hue + step), vivid(rng, hue - step)


def darker(colour: Colour, factor: float = 0.6) -> Colour:
    """Return the colour with its channels multiplied by `factor`."""
    red, green, blue = colour
    return red * factor, green * factor, blue * factor


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour `share` of the way from `first` to `second`."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def timber(rng: np.random.Generator) -> Colour:
    """Return the colour of a kind of wood, from birch to walnut."""
    return mixed((0.86, 0.66, 0.42), (0.50, 0.28, 0.14), rng.uniform())


def linear(colour: Colour) -> Colour:
    """Return linear RGB of an sRGB colour, as glTF's colour factors want it."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return red, green, blue


def name_of(colour: Colour) -> str:
    """Return the everyday word for a colour."""
    hue, saturation, value = colorsys.rgb_to_hsv(*colour)
    if value < 0.2:
        return "black"
    if saturation < 0.2:
        return "white" if value > 0.85 else "grey"
    if hue < 0.17 and value < 0.65:
        return "brown"
    return next(name for limit, name in _NAMES if hue < limit)
