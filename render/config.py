"""What a view set is. Everything here changes pixels."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from render.quality import Quality, named

FARTHEST = 6.5
"""World units, up to which files of depth reach (render/passes.py)."""


class Section(BaseModel):
    """Frozen and strict: a misspelt key stops everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LightConfig(Section):
    """Light as data: a world of two halves, and suns."""

    sky: float = Field(ge=0, le=10)
    """Radiance of the grey world above the horizon, 1 = white."""
    ground: float = Field(ge=0, le=10)
    """Radiance below it; the sky's: uniform light."""
    suns: Literal["none", "studio", "random"]
    """studio: two that stand opposite each other; random: one to three, drawn per object."""
    sun: float = Field(ge=0, le=100)
    """Strength in W/m^2 of the studio's key sun (the fill sun has half) or, on average, of all random suns together."""


class GateConfig(Section):
    """One gate: a view beyond `limit` is flagged in the ledger."""

    limit: float = Field(ge=0, le=1)
    max_share: float = Field(ge=0, le=1)
    """The object is rejected when more of its views are flagged; 1 = flagged only."""


class GatesConfig(Section):
    """What is looked at in every view; render/quality_gates.py says how it is measured."""

    empty: GateConfig
    """Flagged when the object covers less of the picture than the limit: far outliers, empty scenes."""
    clipped: GateConfig
    """Flagged when the object covers more of the picture's border than the limit."""
    black: GateConfig
    """Flagged when the object's brightest parts are darker than the limit."""
    blown: GateConfig
    """Flagged when a larger share of the object than the limit is pure white."""


class RenderConfig(Section):
    """Change a field and every view is rendered again."""

    recipe: int = Field(ge=1)
    """Bump when the pixels change though no other field did."""
    resolution: int = Field(ge=16, le=4096, multiple_of=8)
    """Side in pixels; the VAE halves it three times."""
    engine: Literal["cycles", "eevee"]
    """eevee: rasterised, of the quality only its samples count; without OpenGL and EGL Blender aborts."""
    quality: Quality
    """A name in render/quality.py, or its numbers."""
    passes: tuple[Literal["depth", "normal"], ...]
    """What is kept of each view besides colour: the surface behind the middle of each pixel (render/passes.py)."""
    azimuths: int = Field(ge=1, le=64)
    """Target columns, evenly spaced from azimuth 0."""
    elevations_deg: tuple[float, ...] = Field(min_length=1)
    """Target rows, degrees above the horizon, in the order of the target indices (rows outer, columns inner)."""
    fov_deg: float = Field(gt=1, lt=170)
    distance: float = Field(gt=0)
    """Of the target cameras, in units of the object's longest side."""
    conditions: int = Field(ge=1, le=100)
    """Condition views per object; their azimuths lie on the target columns."""
    condition_elevation_deg: tuple[float, float]
    """Uniform range."""
    condition_distance: tuple[float, float]
    """Uniform range."""
    light: LightConfig
    gates: GatesConfig
    objects_per_shard: int = Field(ge=1, le=100_000)
    """Objects in one tar file; one that has a shard stays in it when others come or go."""
    max_failed_share: float = Field(ge=0, le=1)
    """The stage stops when a larger share of the objects fails."""

    def pixel_settings(self) -> dict[str, Any]:
        """Return the fields that decide what a view shows: views that were finished stay so when others change."""
        return self.model_dump(mode="json", exclude={"objects_per_shard", "max_failed_share"})

    @model_validator(mode="after")
    def _has_passes(self) -> Self:
        if self.passes and self.engine != "cycles":
            raise ValueError(f"passes is {list(self.passes)} and engine {self.engine}; only cycles takes them")
        farthest = max(self.distance, *self.condition_distance) + 1
        if "depth" in self.passes and farthest > FARTHEST:
            raise ValueError(f"cameras see as far as {farthest:g}; the steps of a depth file end at {FARTHEST:g}")
        return self

    @field_validator("quality", mode="before")
    @classmethod
    def _numbers_of_a_name(cls, value: Any) -> Any:
        return named(value) if isinstance(value, str) else value
