"""params.yaml as one typed value; everything in it is checked before anything runs."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.config import MaskVAEConfig, StageConfig
from render.config import RenderConfig
from tasks.config import (
    CatalogConfig,
    DownloadConfig,
    EncodeConfig,
    EvaluateConfig,
    NormalizeConfig,
    ReconstructConfig,
    RenderTestConfig,
    SampleConfig,
    SelectConfig,
)


class Params(BaseModel):
    """One section per stage, named like the stage, plus the seed of every draw."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(ge=0)
    catalog: CatalogConfig
    select: SelectConfig
    download: DownloadConfig
    normalize: NormalizeConfig
    render: RenderConfig
    train_vae: MaskVAEConfig
    encode: EncodeConfig
    train_stage1: StageConfig
    train_stage2: StageConfig
    train_stage3: StageConfig
    render_test: RenderTestConfig
    sample: SampleConfig
    reconstruct: ReconstructConfig
    evaluate: EvaluateConfig

    @model_validator(mode="after")
    def _sections_agree(self) -> "Params":
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> list[str]:
        targets = self.render.azimuths * len(self.render.elevations_deg)
        problems = []
        for name in ("train_stage1", "train_stage2", "train_stage3"):
            stage: StageConfig = getattr(self, name)
            if stage.kept_targets > targets:
                problems.append(f"{name}.kept_targets is {stage.kept_targets}; render makes only {targets} targets")
            if stage.multi_condition_share > 0 and stage.multi_conditions[1] > self.render.conditions:
                problems.append(
                    f"{name}.multi_conditions goes to {stage.multi_conditions[1]}; "
                    f"render.conditions is {self.render.conditions}"
                )
            if stage.noise.zero_terminal_snr and stage.noise.prediction == "epsilon":
                problems.append(f"{name}.noise.zero_terminal_snr needs prediction v_prediction, not epsilon")
        if self.train_stage1.unet is None:
            problems.append("train_stage1.unet is null; stage 1 builds the network, so it needs one")
        if max(self.sample.conditions) > self.render_test.conditions:
            problems.append(
                f"sample.conditions asks for {max(self.sample.conditions)} condition views; "
                f"render_test.conditions is {self.render_test.conditions}"
            )
        return problems


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
    """One line per mistake."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "params"
        value = "" if item["type"] in ("missing", "extra_forbidden") or not item["loc"] else f" (got {item['input']!r})"
        hint = {"extra_forbidden": "no such key; check the spelling", "missing": "is missing"}.get(item["type"])
        lines.append(f"  {key}: {hint or item['msg']}{value}")
    return "\n".join(lines)
