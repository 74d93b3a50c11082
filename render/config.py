"""The section `render` of params.yaml: what a view set is. Everything here changes pixels."""

from functools import partial
from operator import eq
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from render.quality import Quality, quality_named

FARTHEST = 6.5
"""Depth in world units up to which depth files reach (render/passes.py)."""


class Section(BaseModel):
    """Base class of sections: frozen, and an unknown key is an error.

    models/config.py has the same three lines, because models and render do not import each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class LightConfig(Section):
    """How the object is lit: by a sky, by a ground and by suns."""

    sky: float = Field(ge=0, le=10)
    """Radiance of the grey world above the horizon, 1 = white."""
    ground: float = Field(ge=0, le=10)
    """Radiance of the world below the horizon; where it equals `sky`, light is uniform."""
    suns: Literal["none", "studio", "random"]
    """none; studio: two that stand opposite each other; random: one to three, drawn per object."""
    sun: float = Field(ge=0, le=100)
    """Strength in W/m^2 of the studio's key sun (the fill sun has half) or, on average, of all random suns together."""


class GateConfig(Section):
    """One quality gate: a view beyond `limit` is flagged in the ledger."""

    limit: float = Field(ge=0, le=1)
    """Value of the measure, 0 to 1, beyond which a view is flagged."""
    max_share: float = Field(ge=0, le=1)
    """The object is rejected when a larger share of its views is flagged; 1: it never is."""


class GatesConfig(Section):
    """The quality gates of every view; render/quality_gates.py says how each is measured."""

    empty: GateConfig
    """Flagged when the object covers less of the image than the limit: far outliers, empty scenes."""
    clipped: GateConfig
    """Flagged when the object covers more of the image's border than the limit."""
    black: GateConfig
    """Flagged when the object's brightest parts are darker than the limit."""
    blown: GateConfig
    """Flagged as overexposed when a larger share of the object than the limit is pure white."""


class RenderConfig(Section):
    """What the training views of an object are (sec. 4.1, 5.1). Every view is rendered again when a field changes.

    An object has len(elevations_deg) * azimuths target views and `conditions` condition views. Lengths are in units of
    the object's longest side. Values come from params.yaml, where each stands beside its source; there are no defaults.
    docs/rendering.md measures quality and light.
    """

    recipe: int = Field(ge=1)
    """Bump when the pixels change though no other field did."""
    resolution: int = Field(ge=16, le=4096, multiple_of=8)
    """Side of an image in pixels; a multiple of 8 because the VAE halves it three times."""
    engine: Literal["cycles", "eevee"]
    """cycles: path tracing; eevee: rasterisation, for which Blender needs OpenGL with EGL or aborts."""
    quality: Quality
    """Work per view: a name in render/quality.py, or its numbers."""
    passes: tuple[Literal["depth", "normal"], ...]
    """What is kept of each view besides colour (render/passes.py); cycles only."""
    azimuths: int = Field(ge=1, le=64)
    """Number of target columns, evenly spaced from azimuth 0 (sec. 4.1)."""
    elevations_deg: tuple[float, ...] = Field(min_length=1)
    """Target rows, degrees above the horizon, in the order of the target indices, rows outer (sec. 4.1)."""
    fov_deg: float = Field(gt=1, lt=170)
    """Horizontal and vertical field of view of all cameras (sec. 4.1)."""
    distance: float = Field(gt=0)
    """Distance of the target cameras from the object's centre (sec. 5.1)."""
    conditions: int = Field(ge=1, le=100)
    """Number of condition views; their azimuths lie on the target columns (sec. 4.1)."""
    condition_elevation_deg: tuple[float, float]
    """Range of the condition cameras' elevation, drawn uniformly (sec. 5.1)."""
    condition_distance: tuple[float, float]
    """Range of the condition cameras' distance from the centre, drawn uniformly (sec. 5.1)."""
    given_views: Literal["ignore", "conditions"] = Field(default="ignore", exclude_if=partial(eq, "ignore"))
    """What becomes of views that an object brings along (source proobjaverse): conditions, they are its condition views
    as far as they can be (docs/rendering.md), and the rest is rendered; ignore, all are rendered."""
    light: LightConfig
    gates: GatesConfig
    objects_per_shard: int = Field(ge=1, le=100_000)
    """Objects in one tar file; an object that has a shard stays in it when others come or go."""
    max_failed_share: float = Field(ge=0, le=1)
    """The stage stops when a larger share of the objects fails."""

    def pixel_settings(self) -> dict[str, Any]:
        """Return the fields that decide what a view shows; finished views stay valid when other fields change."""
        return self.model_dump(mode="json", exclude={"objects_per_shard", "max_failed_share"})

    @model_validator(mode="after")
    def _has_passes(self) -> Self:
        if self.passes and self.engine != "cycles":
            raise ValueError(f"passes is {list(self.passes)} and engine {self.engine}; only cycles takes them")
        if self.passes and self.given_views != "ignore":
            raise ValueError(f"passes is {list(self.passes)}, which given views have not; set given_views to ignore")
        farthest = max(self.distance, *self.condition_distance) + 1
        if "depth" in self.passes and farthest > FARTHEST:
            raise ValueError(f"cameras see as far as {farthest:g}; the steps of a depth file end at {FARTHEST:g}")
        return self

    @field_validator("quality", mode="before")
    @classmethod
    def _numbers_of_a_name(cls, value: Any) -> Any:
        return quality_named(value) if isinstance(value, str) else value
