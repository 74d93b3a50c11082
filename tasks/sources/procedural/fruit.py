"""Apples, which the fruit bowl and the stack of books share."""

import numpy as np

from tasks.sources.procedural.shape import Shape
from tasks.sources.procedural.solids import bezier, lathe, tube


def apple(radius: float) -> Shape:
    """Return an apple standing on z = 0, 1.9 radii high."""
    low = bezier([(0.0, 0.12), (0.35, -0.1), (0.85, 0.1), (0.98, 0.9)], 9)
    high = bezier([(0.98, 0.9), (1.12, 1.7), (0.55, 2.25), (0.0, 1.55)], 11)
    return lathe([(float(r) * radius, float(z) * radius) for r, z in [*low, *high[1:]]], 28)


def stalk(radius: float) -> Shape:
    """Return the stalk of an apple of that radius."""
    path = np.array([(0.0, 0.0, 1.5), (0.04, 0.0, 1.9), (0.2, 0.0, 2.3)])
    return tube(path * radius, radius * 0.07, 8)


def apple_hue(rng: np.random.Generator) -> float:
    """Draw the hue of an apple, red or green."""
    return float(rng.choice([0.99, 0.27]))
