"""No global seeds: every draw comes from a name, so order, worker and restart do not matter."""

import hashlib

import numpy as np


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """A generator that depends on `seed` and `names` only, e.g. rng_for(0, "render", uid, view)."""
    text = "/".join(str(name) for name in (seed, *names))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


def share_of(*names: str | int) -> float:
    """A number in [0, 1) that depends on `names` only: stable splits and shard membership."""
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56
