"""What the rows of flows/pipeline.py say, and how one becomes a call. Imports a stage's module only to run it."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from flows.params import Params
from tasks.artifacts.cycle_search import without_cycle_search
from tasks.ports import Tools

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True)
class Policy:
    """How a Prefect flow treats a stage. It changes no result."""

    retries: int
    """Further attempts after a failure; each waits twice as long as the one before (flows/orchestrate.py)."""
    timeout_seconds: int
    """Time limit of one attempt."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the pipeline: one node of dvc.yaml, one MLflow run, one function in tasks/.

    The function is called with keywords only: `inputs` and `fixed` under their own names, `seed`, the section of
    params.yaml that is named like the stage as `config`, other sections under their own names, `out` and `tools`.
    """

    name: str
    description: str
    """One line that dvc.yaml, MLflow and Prefect show."""
    runs: str
    """The function as "module:name"; the module, which may need torch, is imported when the stage runs."""
    inputs: Mapping[str, object] = field(default_factory=dict)
    """Argument to what an earlier stage made: a folder, a mapping or dataclass of folders, or None."""
    watches: tuple[str, ...] = ()
    """Keys of params.yaml whose value is a folder outside the pipeline, on which the stage depends as well."""
    after: tuple[Path, ...] = ()
    """Files of earlier stages that must be there, but are not read: gates, whose content never changes."""
    params: tuple[str, ...]
    """Sections of params.yaml that the stage reads; no other reaches it."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Arguments that tell apart stages which run the same function."""
    out: Path
    """The folder that the stage makes."""
    policy: Policy
    whole_cards: bool = False
    """Whether each worker of the pool holds networks and is given a whole graphics card, where the profile computes on
    one, instead of its `worker_gpus`."""
    objects_per_job: int = 1
    """Objects that an item of the pool has at most; the profile's `time_limit` is for one."""

    @property
    def command(self) -> str:
        """The command line in dvc.yaml, which is part of the stage's identity: no path, device or worker count."""
        return f"python -m flows stage {self.name}"

    @property
    def deps(self) -> tuple[str, ...]:
        """What DVC watches: folders of `watches` as references to params.yaml, all folders of `inputs`, and gates."""
        folders = (path.as_posix() for value in (*self.inputs.values(), *self.after) for path in _paths(value))
        return (*(f"${{{key}}}" for key in self.watches), *folders)

    def function(self) -> Callable[..., None]:
        """Import the module of `runs` and return its function."""
        module, _, name = self.runs.partition(":")
        with without_cycle_search():
            function: Callable[..., None] = getattr(importlib.import_module(module), name)
        return function

    def arguments(self, params: Params) -> dict[str, Any]:
        """The keywords of the call, but for `tools`."""
        own = self.name.replace("-", "_")
        sections = {"config" if name == own else name: getattr(params, name) for name in self.params}
        return {**self.inputs, **self.fixed, **sections, "out": self.out}

    def __call__(self, params: Params, tools: Tools) -> None:
        """Run the stage."""
        self.function()(**self.arguments(params), tools=tools)


@dataclass(frozen=True)
class Trigger:
    """An event upon which a deployment runs."""

    name: str
    event: str
    """Name of the event; a flow emits `made_event(STAGE)` for each stage that it has made, others anybody may emit."""
    description: str
    enabled: bool = True
    """Whether it holds from the start; a disabled one waits to be switched on in Prefect (docs/services.md)."""


def made_event(stage: str) -> str:
    """Return the name of the event that a stage has made or restored its output."""
    return f"mvdpp.{stage}.made"


@dataclass(frozen=True)
class Flow:
    """One Prefect deployment: it brings a stage, and whatever that stage needs, up to date."""

    name: str
    target: str
    """Name of the stage."""
    description: str
    settings: tuple[str, ...] = ()
    """Keys of params.yaml that Prefect's form asks for by name, with their types and bounds."""
    schedule: str | None = None
    """When it runs by itself, as cron has it, in UTC; the schedule is off until it is switched on in Prefect."""
    triggers: tuple[Trigger, ...] = ()
    promotes: bool = False
    """Whether it ends with `python -m flows promote`, where the profile has a gate."""

    @property
    def entrypoint(self) -> str:
        """Where Prefect finds the flow."""
        return f"flows.orchestrate.{self.name.replace('-', '_')}"


def _paths(value: object) -> Iterator[Path]:
    """Every path in the value of an input, in the order in which it is written."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _paths(part)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _paths(getattr(value, part.name))
