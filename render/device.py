"""Where and how fast Blender computes; nothing here decides what a view shows."""

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "gpu", "optix", "cuda", "hip", "oneapi", "metal"]


@dataclass(frozen=True)
class Machine:
    """What one Blender process may use."""

    threads: int
    device: Device = "cpu"
    """Of Cycles; gpu: the fastest kind that is present. The same samples on each, rounded in another way."""
