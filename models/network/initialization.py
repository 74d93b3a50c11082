"""Random initialization without a global seed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Give modules built inside the `with` block weights that depend on `seed` only; restores torch's generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
