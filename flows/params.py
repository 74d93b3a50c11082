"""Reads params.yaml as one typed value; everything in it is checked before anything runs."""

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.addresses import require_no_secrets
from models.config import DistilConfig, MaskVAEConfig, ReconstructConfig, StageConfig
from render.config import RenderConfig
from tasks.config import (
    BaselinesConfig,
    CatalogConfig,
    DownloadConfig,
    EncodeConfig,
    EvaluateConfig,
    GsoEvalConfig,
    NormalizeConfig,
    RenderTestConfig,
    SampleConfig,
    SelectConfig,
    ValidateConfig,
)


class Params(BaseModel):
    """The parameters of the pipeline: a section for each stage, and the seed that every random choice derives from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(ge=0)
    catalog: CatalogConfig
    select: SelectConfig
    download: DownloadConfig
    normalize: NormalizeConfig
    render: RenderConfig
    validate_views: ValidateConfig
    train_vae: MaskVAEConfig
    encode: EncodeConfig
    train_stage1: StageConfig
    train_stage2: StageConfig
    train_stage3: StageConfig
    distil: DistilConfig
    render_test: RenderTestConfig
    gso_eval: GsoEvalConfig
    baselines: BaselinesConfig
    sample: SampleConfig
    reconstruct: ReconstructConfig
    evaluate: EvaluateConfig

    @model_validator(mode="before")
    @classmethod
    def _holds_no_secrets(cls, content: Any) -> Any:
        require_no_secrets(content, "params.yaml")
        return content

    @model_validator(mode="after")
    def _sections_agree(self) -> "Params":
        for name in ("train_stage1", "train_stage2", "train_stage3"):
            stage: StageConfig = getattr(self, name)
            try:
                stage.check_network(is_first=name == "train_stage1")
                stage.check_views(
                    num_targets=self.render.azimuths * len(self.render.elevations_deg),
                    num_conditions=self.render.conditions,
                    max_condition_views=self._max_conditions,
                )
            except ValueError as error:
                raise ValueError(f"{name}.{error}") from None
        try:
            self.distil.check(self.train_stage3.noise)
        except ValueError as error:
            raise ValueError(f"distil.{error}") from None
        for problem in (*self._schedule_problems(), *self._test_problems()):
            raise ValueError(problem)
        return self

    def _schedule_problems(self) -> Iterator[str]:
        """A map of timesteps is made for the schedule of stage 1 and goes with the network through all stages."""
        if self.train_stage1.unet is None or self.train_stage1.unet.timestep_map == "none":
            return
        for name in ("train_stage2", "train_stage3"):
            stage: StageConfig = getattr(self, name)
            for field in ("timesteps", "beta_start", "beta_end", "beta_schedule", "zero_terminal_snr"):
                first, later = getattr(self.train_stage1.noise, field), getattr(stage.noise, field)
                if first != later:
                    yield (
                        f"{name}.noise.{field} is {later} and train_stage1.noise.{field} {first}, but "
                        "train_stage1.unet.timestep_map knows one schedule: make them equal, or write none"
                    )

    def _test_problems(self) -> Iterator[str]:
        most = max(self.sample.conditions)
        if most > self.render_test.conditions:
            yield f"sample.conditions goes to {most}; render_test.conditions is {self.render_test.conditions}"
        if most > self._max_conditions:
            yield f"sample.conditions goes to {most}; unet.max_condition_views is {self._max_conditions}"
        if len(set(self.sample.stages)) < len(self.sample.stages):
            yield f"sample.stages names a stage twice: {', '.join(self.sample.stages)}"
        if "distilled" in self.sample.stages and self.distil.steps is None:
            yield "sample.stages names distilled and distil.steps is null, so there is no such model: set distil.steps"
        if len(set(self.sample.protocols)) < len(self.sample.protocols):
            yield f"sample.protocols names a protocol twice: {', '.join(self.sample.protocols)}"
        yield from self._baseline_problems()
        test = self.render_test
        if test.ring_views and test.ring_elevation_deg not in self.render.elevations_deg:
            yield (
                f"render_test.ring_elevation_deg is {test.ring_elevation_deg:g}, which is none of "
                "render.elevations_deg, so no sampled view could be compared: use one of them, or ring_views 0"
            )

    def _baseline_problems(self) -> Iterator[str]:
        most = max(self.baselines.conditions, default=0)
        if most > self.render_test.conditions:
            yield f"baselines.conditions goes to {most}; render_test.conditions is {self.render_test.conditions}"
        fitted = sorted({"neus-gt-pose", "sfm"} & set(self.baselines.methods))
        if fitted and self.reconstruct.method == "hull":
            yield (
                f"baselines.methods has {' and '.join(fitted)}, which fit by volume rendering, but reconstruct.method "
                "is hull: set reconstruct.method to sdf, or leave them out"
            )

    @property
    def _max_conditions(self) -> int:
        unet = self.train_stage1.unet
        return unet.max_condition_views if unet else self.render.conditions


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
_SHORT.maxlist = _SHORT.maxtuple = 20
_SHORT.maxlevel = 3


def load_params(path: Path) -> Params:
    """Read and check a params file.

    Raises ValueError with one line per mistake: the key, the value and the bound.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; run from the project's root")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path} does not hold together:\n{describe(error)}") from None


def describe(error: ValidationError) -> str:
    """Return one line per mistake: key, what is wrong, and the value."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "params"
        is_value = item["type"] not in ("missing", "extra_forbidden") and not isinstance(item["input"], dict)
        hint = {"extra_forbidden": "no such key; check the spelling", "missing": "is missing"}.get(item["type"])
        value = f" (got {_SHORT.repr(item['input'])})" if is_value else ""
        lines.append(f"  {key}: {hint or item['msg'].removeprefix('Value error, ')}{value}")
    return "\n".join(lines)
