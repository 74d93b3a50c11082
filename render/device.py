"""Where and how fast Blender computes; nothing here decides what a view shows."""

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "gpu", "optix", "cuda", "hip", "oneapi", "metal"]


@dataclass(frozen=True)
class Machine:
    """What one Blender process may use."""

    threads: int
    """Threads of the processor."""
    device: Device = "cpu"
    """What Cycles computes on; gpu: the fastest kind of card that is present.
    Each takes the same samples and rounds them in its own way."""
