"""No global seeds: every draw comes from a name, so order, worker and restart do not matter."""

import numpy as np

from render.randomness import hashed_bits


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator that depends on `seed` and `names` only, e.g. rng_for(0, "render", uid, view)."""
    return np.random.default_rng(hashed_bits(128, seed, *names))


def seed_of(seed: int, *names: str | int) -> int:
    """Return a seed below 2**62 that depends on `seed` and `names` only, for what takes no NumPy generator."""
    return int(rng_for(seed, *names).integers(2**62))


def share_of(*names: str | int) -> float:
    """Return a number in [0, 1) that depends on `names` only: stable splits and shard membership."""
    return hashed_bits(56, *names) / 2**56
