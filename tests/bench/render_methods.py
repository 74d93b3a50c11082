"""Ways to render a view that the benchmark compares: ours, and the public scripts' as their sources have it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """Settings on top of render/blender.py's; objects, cameras, lights and resolution are the same for all."""

    name: str
    samples: int
    denoise: bool
    note: str
    process_per_object: bool = False
    """A new Blender for every object, as scripts do that are called once per object."""
    persistent_data: bool = True
    cycles: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of scene.cycles, set last."""


DEFAULT_DENOISER = {"denoising_quality": "HIGH", "denoising_prefilter": "ACCURATE"}
"""What a script gets that only switches the denoiser on."""
REFERENCE = Method(
    "reference", 1024, False, "what the others are compared with", cycles={"max_bounces": 12, "seed": 99}
)
METHODS = (
    Method("ours, 8 samples", 8, True, "one process, scene kept between views"),
    Method("ours, 16 samples", 16, True, "the same; the demo's setting"),
    Method("ours, 32 samples", 32, True, "the same"),
    Method("ours, 64 samples", 64, True, "the same"),
    Method(
        "Objaverse-XL, Zero123",
        128,
        True,
        "128 adaptive samples, bounces 1/1/3/3, denoiser at its default, a process per object",
        process_per_object=True,
        persistent_data=False,
        cycles={
            "use_adaptive_sampling": True,
            "adaptive_threshold": 0.01,
            "diffuse_bounces": 1,
            "glossy_bounces": 1,
            "transparent_max_bounces": 3,
            "transmission_bounces": 3,
            **DEFAULT_DENOISER,
        },
    ),
    Method(
        "Cycles as it comes",
        4096,
        True,
        "4096 adaptive samples to a noise of 0.01, denoiser at its default, a process per object",
        process_per_object=True,
        persistent_data=False,
        cycles={
            "use_adaptive_sampling": True,
            "adaptive_threshold": 0.01,
            "max_bounces": 12,
            **DEFAULT_DENOISER,
        },
    ),
)


def method(name: str) -> Method:
    """The method of that name, or the reference."""
    return next(one for one in (*METHODS, REFERENCE) if one.name == name)
