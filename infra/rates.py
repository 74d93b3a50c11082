"""How fast machines work and how large files are, each number with its origin: what a plan of costs counts with."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

RATES = Path(__file__).parent / "rates.yaml"


class Rate(BaseModel):
    """One number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(gt=0)
    unit: str
    origin: Literal["measured", "source", "assumed"]
    """measured: by this project; source: by others; assumed: by nobody."""
    of: str = Field(min_length=1)
    """The command that measured it or the place where it stands; whose number it is; what it stands for."""


class Rates(BaseModel):
    """The numbers of rates.yaml; units stand beside them there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    render_seconds_per_view: Rate
    render_draft: Rate
    render_reference: Rate
    render_overhead_per_view: Rate
    render_spread: Rate
    normalize_seconds_per_object: Rate
    card_utilization: Rate
    core_tflop_per_second: Rate
    object_mb: Rate
    objaverse_objects: Rate
    test_objects: Rate
    download_mb_per_second: Rate
    download_requests_per_second: Rate
    view_bytes_per_pixel: Rate
    decode_seconds_per_megapixel: Rate

    def of_all(self) -> dict[str, Rate]:
        """Return every rate by its name."""
        return {name: getattr(self, name) for name in type(self).model_fields}


def load_rates(path: Path = RATES) -> Rates:
    """Read the rates.

    Raises ValueError that names every wrong key.
    """
    try:
        return Rates.model_validate(YAML(typ="safe").load(path))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"{path}: {wrong}; the keys are {', '.join(Rates.model_fields)}") from error
