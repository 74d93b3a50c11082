"""Repeating textures: stripes, checks, dots, wood. Each tiles from left to right, so that it wraps a turned solid."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from tasks.sources.procedural.colours import Colour, darker, mixed
from tasks.sources.procedural.parts import Texture
from tasks.sources.procedural.shape import Floats

SIDE_PX = 128
_FINE = 3
"""Samples per pixel and axis, so that edges are smooth."""


def blend(share: Floats, low: Colour, high: Colour) -> Texture:
    """Return a texture from a field over `grid` in [0, 1]: `low` where it is 0, `high` where it is 1."""
    fine = np.clip(share, 0, 1)[::-1].reshape(SIDE_PX, _FINE, SIDE_PX, _FINE)
    field = fine.mean(axis=(1, 3))[:, :, None]
    pixels = (np.asarray(low) * (1 - field) + np.asarray(high) * field) * 255
    return Image.fromarray(np.round(pixels).astype(np.uint8))


def grid() -> tuple[Floats, Floats]:
    """Return u and v in [0, 1) of every fine sample, two arrays of one shape, row 0 at the bottom."""
    steps = (np.arange(SIDE_PX * _FINE) + 0.5) / (SIDE_PX * _FINE)
    u, v = np.meshgrid(steps, steps)
    return u, v


def stripes(low: Colour, high: Colour, count: int, slope: int = 0, share: float = 0.5) -> Texture:
    """Return upright stripes, `share` of the area `high`; with `slope` they wind like a thread.

    A single stripe stands in the middle.
    """
    u, v = grid()
    return blend((((u * count + v * slope + share / 2 - 0.5) % 1) < share).astype(float), low, high)


def bands(colours: Sequence[Colour], edges: Sequence[float]) -> Texture:
    """Return level bands from below: colour i reaches up to edge i, the last one to the top."""
    height = SIDE_PX * _FINE
    rows = np.searchsorted(np.asarray(edges), (np.arange(height) + 0.5) / height, side="right")
    pixels = np.round(np.asarray(colours)[rows[::-1]] * 255).astype(np.uint8)
    return Image.fromarray(np.repeat(pixels[:, None], height, axis=1)).reduce(_FINE)


def checks(low: Colour, high: Colour, columns: int, rows: int) -> Texture:
    """Return a chess board; `columns` and `rows` count pairs."""
    u, v = grid()
    return blend((((u * columns) % 1 < 0.5) ^ ((v * rows) % 1 < 0.5)).astype(float), low, high)


def plaid(low: Colour, high: Colour, count: int) -> Texture:
    """Return woven cloth: crossing half-transparent stripes."""
    u, v = grid()
    return blend((((u * count) % 1 < 0.45) * 0.5 + ((v * count) % 1 < 0.45) * 0.5).astype(float), low, high)


def dots(low: Colour, high: Colour, columns: int, rows: int, radius: float = 0.27) -> Texture:
    """Return staggered dots; `radius` is in units of one cell."""
    u, v = grid()
    row = np.floor(v * rows)
    x = (u * columns + 0.5 * (row % 2)) % 1 - 0.5
    y = (v * rows) % 1 - 0.5
    return blend((np.hypot(x, y) < radius).astype(float), low, high)


def zigzag(low: Colour, high: Colour, columns: int, rows: int) -> Texture:
    """Return chevrons."""
    u, v = grid()
    tooth = np.abs((u * columns) % 1 - 0.5) * 0.9
    return blend((((v * rows + tooth) % 1) < 0.5).astype(float), low, high)


def gradient(low: Colour, high: Colour) -> Texture:
    """Return a gradient from `low` at the bottom to `high` at the top."""
    _, v = grid()
    return blend(v, low, high)


def wood(rng: np.random.Generator, tone: Colour, rings: float = 7.0) -> Texture:
    """Return wood whose grain runs from left to right."""
    u, v = grid()
    phase = rng.uniform(0, 2 * np.pi, size=3)
    wave = 0.10 * np.sin(2 * np.pi * u + phase[0] + 3 * v) + 0.04 * np.sin(4 * np.pi * u + phase[1] + 9 * v)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * rings * (v + wave) + phase[2])
    streak = rng.uniform(size=(SIDE_PX * _FINE, 1)) * 0.25
    return blend(grain**2 * 0.75 + streak, mixed(tone, (1, 1, 1), 0.12), darker(tone, 0.62))


def any_pattern(rng: np.random.Generator, low: Colour, high: Colour) -> Texture:
    """Return one of the printed patterns, with random counts."""
    count = int(rng.integers(5, 10))
    choices: tuple[Callable[[], Texture], ...] = (
        lambda: stripes(low, high, count),
        lambda: stripes(low, high, count, slope=count // 2),
        lambda: checks(low, high, count, max(2, count // 2)),
        lambda: dots(low, high, count, max(3, count * 2 // 3)),
        lambda: zigzag(low, high, count, 4),
        lambda: bands((low, high, low, high, low), (0.2, 0.35, 0.62, 0.7)),
    )
    return choices[int(rng.integers(len(choices)))]()
