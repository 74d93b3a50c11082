"""What a study asks: the variants that it compares, with which seeds, after how many samples. One YAML file each."""

import copy
import fnmatch
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.params import Params, describe
from tasks.artifacts.manifest import fingerprint
from tests.project_copy import ROOT

DATA_SECTIONS = frozenset(
    {"seed", "catalog", "select", "download", "normalize", "render", "validate_views", "train_vae", "encode"}
    | {"render_test", "gso_eval"}
)
"""What decides the data, and so what runs may share: objects, views, VAE, latents and test sets."""
StageName = Literal["stage1", "stage2", "stage3"]
STAGES: tuple[StageName, ...] = ("stage1", "stage2", "stage3")
Changes = Mapping[str, Any]
"""Values of params.yaml by full key; `train_stage*.` stands for all three stages."""


class Variant(BaseModel):
    """One way to train."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: dict[str, Any] = {}
    """What differs from the study's own params."""
    stages: tuple[StageName, ...] = Field(default=STAGES, min_length=1)
    """Trained stages in order. The first begins with the network of `train_stage1.unet`; a budget is shared among them
    alone, so that a variant without a stage costs as much as the others."""


class Study(BaseModel):
    """A study as its file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[\w.-]+$")
    question: str
    """One sentence for the top of the page."""
    params: dict[str, Any] = {}
    """What differs from params.yaml in all variants."""
    variants: dict[str, Variant] = Field(min_length=1)
    baseline: str
    """The variant that the others are compared with."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    """Of trainings and sampling; the data have `seed` of the params."""
    budgets: tuple[Annotated[int, Field(ge=1)] | None, ...] = Field(default=(None,), min_length=1)
    """Training samples of all stages together, shared as the variant's `loop.samples` are; null: those themselves."""

    @model_validator(mode="after")
    def _compares_what_it_has(self) -> Self:
        if self.baseline not in self.variants:
            raise ValueError(f"baseline is {self.baseline!r}; name one of {', '.join(self.variants)}")
        for name in ("seeds", "budgets"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} has an entry twice: {', '.join(map(str, values))}")
        return self


def load_study(path: Path) -> Study:
    """Read a study; `extends` names a file beside it whose values it adds to.

    Raises ValueError with one line per mistake.
    """
    try:
        return Study.model_validate(_extended(path))
    except ValidationError as error:
        raise ValueError(f"{path} is no study:\n{describe(error)}") from None


def _extended(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the YAML file of a study, such as those in tests/bench/studies")
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    if "extends" not in content:
        return content
    below = _extended(path.parent / content.pop("extends"))
    return below | content | {"params": below.get("params", {}) | content.get("params", {})}


@dataclass(frozen=True)
class Cell:
    """One run: a variant, a seed and a budget."""

    variant: str
    stages: tuple[str, ...]
    seed: int
    samples: int
    """Training samples of all stages together."""
    params: Params
    changes: Changes
    """Of the variant alone, with a key of its own for every stage."""

    @property
    def name(self) -> str:
        """Name of the MLflow run, e.g. "whole, 21000 samples, seed 0"."""
        return f"{self.variant}, {self.samples} samples, seed {self.seed}"

    @property
    def data_key(self) -> str:
        """Names the data: runs with the same share them."""
        return fingerprint(self.params.model_dump(mode="json", include=set(DATA_SECTIONS)))[:12]


def list_cells(study: Study) -> list[Cell]:
    """List all runs: budget by budget from the smallest, and there all seeds of a variant before the next.

    So workers that begin together train different things, and later variants find the trainings that they share.

    Raises ValueError for params that do not hold together, and where two budgets come to the same number of samples.
    """
    budgets = sorted(study.budgets, key=lambda budget: (budget is None, budget or 0))
    cells = []
    for budget, (name, variant), seed in itertools.product(budgets, study.variants.items(), study.seeds):
        try:
            params = make_params(study.params, variant, budget)
        except ValueError as error:
            raise ValueError(f"variant {name!r}: {error}") from None
        if not set(params.sample.stages) & set(variant.stages):
            raise ValueError(
                f"variant {name!r} trains {', '.join(variant.stages)}, and sample.stages is "
                f"{', '.join(params.sample.stages)}; let it sample a stage that is trained"
            )
        samples = sum(loop_of(params, stage).samples for stage in variant.stages)
        changes = {full: value for key, value in variant.params.items() for full in keys_of(key)}
        cells.append(Cell(name, variant.stages, seed, samples, params, changes))
    if len({cell.name for cell in cells}) < len(cells):
        raise ValueError(f"budgets {budgets} come to the same samples in whole batches; give them further apart")
    return cells


def keys_of(key: str) -> list[str]:
    """The keys that a key means: `train_stage*.optimizer` one for each stage, any other itself."""
    section, dot, rest = key.partition(".")
    return [found + dot + rest for found in fnmatch.filter(Params.model_fields, section)]


def loop_of(params: Params, stage: str) -> Any:
    """The section `loop` of a training stage."""
    return getattr(params, f"train_{stage}").loop


def make_params(changes: Changes, variant: Variant, budget: int | None) -> Params:
    """Return params.yaml with the study's and the variant's changes, its trainings as long as the budget says.

    Raises ValueError for an unknown key and for values that do not hold together.
    """
    content = json.loads(json.dumps(yaml.safe_load((ROOT / "params.yaml").read_text())))  # aliases become copies
    for key, value in [*changes.items(), *variant.params.items()]:
        _set(content, key, value)
    if budget is not None:
        _shorten(content, variant.stages, budget)
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"the params do not hold together:\n{describe(error)}") from None


def _set(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a value; a field that the file leaves at its default may be new, a section may not."""
    first, *rest = key.split(".")
    sections = fnmatch.filter(content, first)
    if not sections:
        raise ValueError(f"params.yaml has no section {first!r} ({key}); the sections are {', '.join(content)}")
    for section in sections:
        place = content
        *outer, last = section, *rest
        for name in outer:
            if not isinstance(place.get(name), dict):
                raise ValueError(f"params.yaml has no section {name!r} ({key})")
            place = place[name]
        place[last] = copy.deepcopy(value)


def _shorten(content: dict[str, Any], stages: Sequence[str], budget: int) -> None:
    """Share the budget among the stages in whole batches, at least one each."""
    loops = [content[f"train_{stage}"]["loop"] for stage in stages]
    total = sum(loop["samples"] for loop in loops)
    for loop in loops:
        loop["samples"] = max(1, round(budget * loop["samples"] / total / loop["batch_size"])) * loop["batch_size"]


def variants_of(cells: Sequence[Cell]) -> Iterator[str]:
    """Names of the variants, in the order of the study."""
    yield from dict.fromkeys(cell.variant for cell in cells)
