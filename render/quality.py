"""How much work goes into a view. The named settings lie on the measured frontier of docs/rendering.md."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Quality(BaseModel):
    """How much work the renderer puts into a view; EEVEE uses the number of samples only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(ge=1, le=16384)
    """Paths per pixel; the most of them where `noise_threshold` is above 0."""
    noise_threshold: float = Field(ge=0, le=1)
    """A pixel whose estimated noise is below it gets no more samples; 0: all get the same number."""
    denoise: Literal["none", "fast", "high"]
    """OpenImageDenoise's quality, guided by albedo, without prefilter."""
    max_bounces: int = Field(ge=0, le=64)
    """Reflections of light between surfaces; a limit saves hardly anything with objects that stand alone."""


NAMED = {
    "draft": Quality(samples=8, noise_threshold=0, denoise="fast", max_bounces=4),
    "standard": Quality(samples=12, noise_threshold=0, denoise="fast", max_bounces=4),
    "reference": Quality(samples=128, noise_threshold=0.02, denoise="high", max_bounces=4),
}
"""A change here changes pixels: bump `render.recipe`."""


def quality_named(name: str) -> Quality:
    """Return the quality of that name in NAMED.

    Raises ValueError when there is none.
    """
    if name not in NAMED:
        fields = ", ".join(Quality.model_fields)
        raise ValueError(f"{name!r} is no quality; write {', '.join(NAMED)}, or numbers for {fields}")
    return NAMED[name]
