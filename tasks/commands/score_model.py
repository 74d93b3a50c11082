"""Scores a model that no stage of this checkout has trained: which cases it has, and its samples of the test sets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from render.views import ViewKind
from tasks.artifacts.cases import SEVERAL_VIEWS, TEST_SET_STAGES, TEST_SETS, Case, Protocol, TestSet
from tasks.artifacts.content import content_of
from tasks.artifacts.manifest import MANIFEST, Kind, open_manifest
from tasks.artifacts.model_folder import UNET, most_conditions
from tasks.artifacts.views import ViewSet
from tasks.commands.score import checked_name
from tasks.commands.score_model_options import ScoreModelOptions
from tasks.config import SampleConfig
from tasks.evaluation.sampling import cases_of, sample_cases, with_views
from tasks.ports import Tools


@dataclass(frozen=True)
class ScoredModel:
    """What was asked for, checked: a model, and the cases that it is scored in."""

    name: str
    """Of its row."""
    folder: Path
    config: SampleConfig
    cases: Sequence[Case]
    test_sets: Mapping[TestSet, Path]
    """Sealed folder of each test set that a case is compared with."""


def plan_model(
    options: ScoreModelOptions, folder: Path, config: SampleConfig, test_sets: Mapping[TestSet, Path]
) -> ScoredModel:
    """Check the options and return what they ask for.

    Args:
        options: Of the command line.
        folder: The model that they name, a saved pipeline.
        config: The section `sample`, whose protocols and conditions hold where the options say nothing.
        test_sets: Where each test set lies, if it is there.

    Raises ValueError for a name or protocol that cannot be, more condition views than the model takes, a folder without
    a model, and a test set that is not there or has no such views.
    """
    name = checked_name(options.name or re.sub(r"[^\w.-]+", "-", _last_part(str(options.model))).strip("-."))
    config = config.model_copy(update={"protocols": _protocols(options.set or config.protocols)})
    conditions = _conditions(options, folder, config)
    asked = cases_of(name, config, conditions)
    if options.set is None:  # the sets of the parameters, as far as they are here
        asked = [case for case in asked if (test_sets[case.test_set] / MANIFEST).exists()] or asked
    needed = dict.fromkeys(case.test_set for case in asked)
    for one in needed:
        if not (test_sets[one] / MANIFEST).exists():
            stage = TEST_SET_STAGES[one]
            raise ValueError(
                f"the test set {test_sets[one]} is not here; make it with `python -m flows run {stage}`, or bring it "
                f"with `dvc pull {stage}`"
            )
    folders = {one: test_sets[one] for one in needed}
    sets = {one: ViewSet.open(path) for one, path in folders.items()}
    cases = with_views(asked, config, sets)
    for case in cases:
        _require_conditions(case, sets[case.test_set], folders[case.test_set])
    return ScoredModel(name, folder, config, cases, folders)


def sample_model(model: ScoredModel, seed: int, out: Path, tools: Tools) -> None:
    """Sample every object of the test sets with a model, as the stage `sample` does with those of the stages.

    Args:
        model: What was asked for.
        seed: For the initial noise; equal seeds give the views of the stage.
        out: Becomes the sealed folder of samples, a folder of views per case.
        tools: Of the command.

    Raises RuntimeError when an object fails; what was sampled stays.
    """
    sets = {name: ViewSet.open(folder) for name, folder in model.test_sets.items()}
    inputs: dict[str, str] = {name: views.manifest.fingerprint for name, views in sets.items()}
    inputs |= {model.name: (content := content_of(model.folder, tools))}
    tools = replace(tools, input_hashes={**tools.input_hashes, model.folder.as_posix(): content})
    sample_cases(model.cases, sets, {model.name: model.folder}, model.config, seed, out, tools, inputs)


def _last_part(reference: str) -> str:
    """Return what names a model: of a reference what follows the scheme, of an id at a hub all, of a path its end."""
    scheme, colon, words = reference.partition(":")
    if colon:
        return words
    return scheme if not Path(scheme).is_dir() else Path(scheme).resolve().name


def _protocols(names: Sequence[str]) -> tuple[Protocol, ...]:
    wrong = [name for name in names if name not in get_args(Protocol)]
    if wrong:
        raise ValueError(f"set {wrong[0]!r} is none of {', '.join(get_args(Protocol))}")
    return tuple(protocol for protocol in TEST_SETS if protocol in names)


def _conditions(options: ScoreModelOptions, folder: Path, config: SampleConfig) -> Sequence[int]:
    """Return the numbers of condition views that a model is given in the protocol sparse."""
    most = most_conditions(folder)
    if most is None or not (folder / "model_index.json").is_file():
        raise ValueError(f"{options.model} is no saved pipeline: it lacks model_index.json or {UNET}/config.json")
    if options.conditions is None:
        return [count for count in config.conditions if count <= (most if _takes_several(folder) else 1)] or [1]
    too_many = [count for count in options.conditions if count > most]
    if too_many:
        raise ValueError(f"--conditions is {too_many[0]}; the model {options.model} takes at most {most}")
    return options.conditions


def _require_conditions(case: Case, truth: ViewSet, folder: Path) -> None:
    """Raise ValueError when the objects of a test set have fewer views to give than a case wants."""
    have = min(len(truth.names(uid, ViewKind.CONDITION)) for uid in truth.uids)
    if case.protocol == "sparse" and case.conditions > have:
        raise ValueError(
            f"{case.conditions} condition views are asked for, and objects of {folder} have {have}; give --conditions"
        )


def _takes_several(folder: Path) -> bool:
    """Whether a model was trained with several condition views, as far as its folder tells; else it was."""
    if not (folder / MANIFEST).exists():
        return True
    return open_manifest(folder, Kind.DIFFUSION_MODEL).facts.get("stage", SEVERAL_VIEWS[0]) in SEVERAL_VIEWS
