"""Whether a model is better than the present champion: what the reports measured of both, and what is asked of them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, get_args

from tasks.artifacts.atomic import read_json
from tasks.artifacts.cases import DISTILLED, TEST_SET_STAGES, Case, Protocol, TestSet
from tasks.artifacts.manifest import METRICS, Kind, open_manifest
from tasks.artifacts.test_set import content_hash
from tasks.evaluation.summary import ERROR, num_objects
from tasks.report.words import COLUMN_OF, counted

TAG = "promotion."
"""Begins the tags in which a registered version keeps what was measured of it."""
RULER = ("points", "iou_resolution", "lpips_weights", "st_lpips", "consistency_resolution")
"""Fields of `evaluate` that decide what the same model scores."""


@dataclass(frozen=True)
class Question:
    """The number that decides."""

    metric: str
    """A column of the report, such as psnr."""
    protocol: str
    """sparse, ring or gso."""
    conditions: int
    """Condition views that the models are given."""
    group: str
    """Group of test objects, such as held_out."""

    @property
    def is_higher_better(self) -> bool:
        """Whether more of the metric is better. Raises ValueError for one of which neither is."""
        best = {name: column.best for name, column in COLUMN_OF.items() if column.best}
        if self.metric not in best:
            raise ValueError(f"metric {self.metric!r} cannot decide; those that can are {', '.join(best)}")
        return best[self.metric] > 0

    def gain(self, value: float, other: float) -> float:
        """Return by how much `value` is better than `other`, in units of the metric."""
        return value - other if self.is_higher_better else other - value


@dataclass(frozen=True)
class Measured:
    """What one report says of one model."""

    question: Question
    value: float
    standard_error: float | None
    """Over the objects; None of a single one."""
    objects: int
    test_set: str
    test_set_hash: str
    """Of the pixels and meshes that the model was compared with."""
    ruler: Mapping[str, Any]
    """Values of `RULER`."""

    def __str__(self) -> str:
        error = "" if self.standard_error is None else f" +- {self.standard_error:.2g}"
        return f"{self.question.metric} {self.value:.4g}{error} over {counted(self.objects, 'object')}"

    def as_tags(self) -> dict[str, str]:
        """Return the tags of a registered version."""
        rows = asdict(self)
        rows |= rows.pop("question")
        return {f"{TAG}{key}": json.dumps(value) for key, value in rows.items()}

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self | None:
        """Read what `as_tags` wrote; None where a version has no such tags."""
        rows = {key.removeprefix(TAG): value for key, value in tags.items() if key.startswith(TAG)}
        try:
            question = Question(**{name: json.loads(rows[name]) for name in Question.__dataclass_fields__})
            own = {name: json.loads(rows[name]) for name in cls.__dataclass_fields__ if name != "question"}
        except (KeyError, ValueError):
            return None
        return cls(question, **own)


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate becomes the champion, and why."""

    is_better: bool
    reason: str


def measure(model: Path, report: Path, test_sets: Mapping[TestSet, Path], question: Question) -> Measured:
    """Read what a report says of a model.

    Args:
        model: A sealed model; its folder is called like the stage, e.g. models_out/stage3.
        report: The sealed report of the run that evaluated it.
        test_sets: Sealed folder of each test set.
        question: Which number.

    Raises ValueError when a folder is not sealed, when the report is about other weights or another test set than these
    folders hold, and when it has no such number.
    """
    case = _case(model.name, question)
    _ = question.is_higher_better
    made, evaluated = open_manifest(model, Kind.DIFFUSION_MODEL), open_manifest(report, Kind.REPORT)
    stage = "distil" if model.name == DISTILLED else f"train-{model.name}"
    truth = test_sets[case.test_set]
    sealed = open_manifest(truth, Kind.VIEWS).fingerprint
    for name, path, mark in ((stage, model, made.fingerprint), (TEST_SET_STAGES[case.test_set], truth, sealed)):
        if evaluated.inputs.get(name) != mark:
            raise ValueError(f"{report} does not evaluate {path}; make it with `python -m flows run evaluate`")
    metrics = _metrics(read_json(report / METRICS), case, question, report)
    value = float(metrics[question.metric])
    if not math.isfinite(value):
        raise ValueError(f"{report / METRICS}: {question.metric} of {case.name}/{question.group} is {value}")
    return Measured(
        question,
        value,
        metrics.get(f"{question.metric}{ERROR}"),
        num_objects(metrics, question.metric),
        case.test_set,
        content_hash(truth),
        {name: evaluated.config.get(name) for name in RULER},
    )


def judge(candidate: Measured, champion: Measured | None, *, margin: float, threshold: float | None) -> Verdict:
    """Say whether a candidate is better than the champion.

    Args:
        candidate: What was measured of it.
        champion: What was measured of the champion when it became that; None: there is none.
        margin: By how much, in units of the metric, the candidate must be better.
        threshold: What it must reach in any case; None: nothing.

    Raises ValueError when the two were not measured alike: another number, other test objects, another ruler.
    """
    question = candidate.question
    if threshold is not None and question.gain(candidate.value, threshold) < 0:
        word = "below" if question.is_higher_better else "above"
        return Verdict(False, f"{candidate} is {word} the threshold {threshold:g}")
    if champion is None:
        return Verdict(True, f"{candidate}; there was no champion")
    _check_comparable(candidate, champion)
    gain = question.gain(candidate.value, champion.value)
    if gain > margin:
        return Verdict(True, f"{candidate}, better by {gain:.3g} than the champion's {champion.value:.4g}")
    how = f"better by {gain:.3g}" if gain > 0 else f"worse by {-gain:.3g}" if gain < 0 else "equal"
    return Verdict(
        False,
        f"{candidate}, {how} beside the champion's {champion.value:.4g}; it must be better by more than {margin:g}",
    )


def _case(method: str, question: Question) -> Case:
    for protocol in get_args(Protocol):
        if protocol == question.protocol:
            return Case(method, protocol, question.conditions)
    raise ValueError(f"protocol {question.protocol!r} is none of {', '.join(get_args(Protocol))}")


def _metrics(summary: Mapping[str, Any], case: Case, question: Question, report: Path) -> Mapping[str, float]:
    where = f"{report / METRICS} has no"
    if case.name not in summary:
        raise ValueError(f"{where} case {case.name}; it has {', '.join(sorted(summary))}")
    if question.group not in summary[case.name]:
        raise ValueError(
            f"{where} group {question.group} of {case.name}; it has {', '.join(sorted(summary[case.name]))}"
        )
    found: Mapping[str, float] = summary[case.name][question.group]
    if question.metric not in found:
        raise ValueError(
            f"{where} {question.metric} of {case.name}/{question.group}; it has {', '.join(sorted(found))}"
        )
    return found


def _check_comparable(candidate: Measured, champion: Measured) -> None:
    remedy = "score both alike, or give --force with a reason"
    if candidate.question != champion.question:
        ours, theirs = (
            f"{one.metric} of {one.protocol}-{one.conditions}/{one.group}"
            for one in (candidate.question, champion.question)
        )
        raise ValueError(f"the candidate was measured by {ours}, the champion by {theirs}; {remedy}")
    if candidate.test_set_hash != champion.test_set_hash:
        raise ValueError(
            f"the test sets differ: the candidate was compared with {candidate.test_set} "
            f"{candidate.test_set_hash}, the champion with {champion.test_set} {champion.test_set_hash}; {remedy}"
        )
    if dict(candidate.ruler) != dict(champion.ruler):
        names = [name for name in RULER if candidate.ruler.get(name) != champion.ruler.get(name)]
        said = ", ".join(
            f"evaluate.{name} {candidate.ruler.get(name)} and {champion.ruler.get(name)}" for name in names
        )
        raise ValueError(f"candidate and champion were scored differently: {said}; {remedy}")
