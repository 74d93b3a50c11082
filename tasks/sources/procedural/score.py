"""An aesthetic score of an object from its colours and parts, in place of those that people gave to Objaverse."""

from collections.abc import Sequence

import numpy as np

from tasks.sources.procedural.parts import Part

_JITTER = 1.0
"""Standard deviation of a viewer's taste, in points."""


def aesthetic_score(parts: Sequence[Part], rng: np.random.Generator) -> float:
    """1 to 10: more for many parts, colours far apart and pictured surfaces, plus the taste drawn from `rng`."""
    share = np.array([part.area for part in parts])
    share = share / share.sum()
    colours = np.array([part.finish.colour for part in parts])
    apart = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    contrast = float(share @ apart @ share)
    pictured = sum(float(s) for s, part in zip(share, parts, strict=True) if part.finish.texture)
    richness = min(len(parts), 12) / 12
    score = 1.9 + 2.0 * richness + 4.0 * contrast + 1.5 * pictured + rng.normal(0.0, _JITTER)
    return round(float(np.clip(score, 1.0, 10.0)), 3)
