"""Textures with a right way up: emblems, book covers, a robot's console. Drawn large and reduced to smooth edges."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tasks.sources.procedural.colours import INK, WHITE, Colour, darker
from tasks.sources.procedural.parts import Texture

_FINE = 3

Draw = ImageDraw.ImageDraw


def drawn(width: int, height: int, ground: Colour, paint: Callable[[Draw], None]) -> Texture:
    """Return a texture of width x height pixels in the colour `ground`, painted on by `paint`.

    `paint` draws on an image of three times the size, which is then reduced.
    """
    image = Image.new("RGB", (width * _FINE, height * _FINE), ink(ground))
    paint(ImageDraw.Draw(image))
    return image.reduce(_FINE)


def ink(colour: Colour) -> tuple[int, int, int]:
    """Return a colour as Pillow wants it, 0 to 255."""
    red, green, blue = (round(255 * channel) for channel in colour)
    return red, green, blue


def text(draw: Draw, centre: tuple[float, float], words: str, size: float, colour: Colour) -> None:
    """Draw words centred on a point, with the font that comes with Pillow."""
    font = ImageFont.load_default(size=size)
    draw.text(centre, words, font=font, fill=ink(colour), anchor="mm", stroke_width=size // 20, stroke_fill=ink(colour))


def star(centre: tuple[float, float], radius: float, points: int = 5, inner: float = 0.45) -> list[tuple[float, float]]:
    """Return the corners of a star with one point up."""
    angles = np.pi * np.arange(2 * points) / points
    radii = np.where(np.arange(2 * points) % 2 == 0, radius, radius * inner)
    x, y = centre[0] + radii * np.sin(angles), centre[1] - radii * np.cos(angles)
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def heart(centre: tuple[float, float], radius: float) -> list[tuple[float, float]]:
    """Return the outline of a heart."""
    t = np.linspace(0, 2 * np.pi, 60)
    x = centre[0] + radius * np.sin(t) ** 3
    y = centre[1] - radius * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def emblem(rng: np.random.Generator, ground: Colour, mark: Colour) -> Texture:
    """Return a wrap for a mug or a hull: two stripes and one large figure in front."""
    kind = int(rng.integers(3))

    def paint(draw: Draw) -> None:
        for top in (36, 318):
            draw.rectangle((0, top, 768, top + 24), fill=ink(mark))
        if kind == 0:
            draw.polygon(star((384, 200), 92), fill=ink(mark))
        elif kind == 1:
            draw.polygon(heart((384, 196), 80), fill=ink(mark))
        else:
            draw.polygon(star((384, 192), 96, points=12, inner=0.72), fill=ink(mark))
            draw.ellipse((334, 142, 434, 242), fill=ink(ground))

    return drawn(256, 128, ground, paint)


def cover(words: str, cloth: Colour, mark: Colour) -> Texture:
    """Return a book's cover: frame, title and figure."""

    def paint(draw: Draw) -> None:
        draw.rectangle((24, 24, 360, 360), outline=ink(mark), width=14)
        text(draw, (192, 104), words, 62, mark)
        draw.polygon(star((192, 230), 82, points=6), fill=ink(mark))

    return drawn(128, 128, cloth, paint)


def spine(words: str, cloth: Colour, mark: Colour) -> Texture:
    """Return a book's spine: the title between two bands."""

    def paint(draw: Draw) -> None:
        for left in (50, 80, 670, 700):
            draw.rectangle((left, 0, left + 16, 144), fill=ink(mark))
        text(draw, (384, 72), words, 100, mark)

    return drawn(256, 48, cloth, paint)


def console(panel: Colour, lamps: tuple[Colour, Colour, Colour]) -> Texture:
    """Return a robot's chest: a gauge, three lamps and a grille."""

    def paint(draw: Draw) -> None:
        draw.rounded_rectangle((14, 14, 370, 370), 40, outline=ink(darker(panel, 0.5)), width=12)
        draw.pieslice((80, 60, 304, 284), 180, 360, fill=ink(WHITE), outline=ink(INK), width=8)
        draw.line((192, 172, 250, 92), fill=ink(lamps[0]), width=12)
        for place, lamp in enumerate(lamps):
            left = 66 + 96 * place
            draw.ellipse((left, 200, left + 64, 264), fill=ink(lamp), outline=ink(INK), width=6)
        for line in range(3):
            draw.rectangle((74, 290 + 24 * line, 310, 302 + 24 * line), fill=ink(INK))

    return drawn(128, 128, panel, paint)
