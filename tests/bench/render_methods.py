"""Ways to render a view that the benchmark compares: ours, and the public scripts' as their sources have it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from render.quality import NAMED, Quality


@dataclass(frozen=True)
class Method:
    """Settings on top of ours; objects, cameras, lights and resolution are the same for all."""

    name: str
    quality: Quality
    note: str
    is_script: bool = False
    """As scripts do that are called once per object: a new Blender, nothing kept between views, the whole picture."""
    cycles: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of scene.cycles, set last."""


DEFAULT_DENOISER = {
    "denoising_quality": "HIGH",
    "denoising_prefilter": "ACCURATE",
    "denoising_input_passes": "RGB_ALBEDO_NORMAL",
}
"""What a script gets that only switches the denoiser on."""
TRUTH = Method(
    "truth",
    Quality(samples=1024, noise_threshold=0, denoise="none", max_bounces=12),
    "what the others are compared with",
    cycles={"seed": 99},
)
OURS = tuple(Method(f"ours, {name}", quality, "one process, scene kept") for name, quality in NAMED.items())
PEERS = Method(
    "Objaverse-XL, Zero123",
    Quality(samples=128, noise_threshold=0.01, denoise="high", max_bounces=12),
    "128 adaptive samples, bounces 1/1/3/3, denoiser at its default, a process per object",
    is_script=True,
    cycles={
        "diffuse_bounces": 1,
        "glossy_bounces": 1,
        "transparent_max_bounces": 3,
        "transmission_bounces": 3,
        **DEFAULT_DENOISER,
    },
)
CYCLES = Method(
    "Cycles as it comes",
    Quality(samples=4096, noise_threshold=0.01, denoise="high", max_bounces=12),
    "4096 adaptive samples, denoiser at its default, a process per object",
    is_script=True,
    cycles=DEFAULT_DENOISER,
)
METHODS = (*OURS, PEERS, CYCLES)


def method(name: str) -> Method:
    """The method of that name, or the truth; a JSON object is a trial: numbers of a quality that has no name.

    `cycles` in it holds attributes of scene.cycles: {"samples": 12, ..., "cycles": {"adaptive_min_samples": 16}}.
    Raises ValueError when there is no such method.
    """
    if name.startswith("{"):
        numbers = json.loads(name)
        cycles = numbers.pop("cycles", {})
        return Method(name, Quality.model_validate(numbers), "a trial; one process, scene kept", cycles=cycles)
    known = {one.name: one for one in (*METHODS, TRUTH)}
    if name not in known:
        raise ValueError(f"{name!r} is no method; write {', '.join(map(repr, known))}, or a quality's numbers as JSON")
    return known[name]
