"""Scores an imported case by the code that scores our own samples, and shows its row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import check_failed_share, read_ledger
from tasks.artifacts.views import ViewSet
from tasks.config import EvaluateConfig
from tasks.evaluation.object_scores import ScoreJob, score_object
from tasks.outcome import Done, Outcome
from tasks.peers.import_object import OWN_MASK_IOU
from tasks.peers.store import MESHES, VIEWS, own_scores
from tasks.ports import Pool, Progress, collect
from tasks.report.published import NAMES, PUBLISHED
from tasks.report.published_since import PUBLISHED_SINCE

Scores = Mapping[str, Mapping[str, float]]
"""Object -> metric -> value."""
DIGITS = {"psnr": 2, "ssim": 3, "lpips": 3, "mask_iou": 3, OWN_MASK_IOU: 3, "chamfer": 4, "f_score": 3, "volume_iou": 4}
"""Metrics of the table, in its order, and how many digits each shows."""


@dataclass(frozen=True)
class Scoring:
    """How an imported case is scored: as the stage evaluate does it."""

    truth: Path
    """The sealed test set."""
    config: EvaluateConfig
    seed: int
    device: str = "cpu"


def score_case(folder: Path, case: Case, scoring: Scoring, pool: Pool, progress: Progress) -> Scores:
    """Score the views and meshes of a case in a peer's folder.

    Raises RuntimeError when an object cannot be scored.
    """
    own = own_scores(folder / VIEWS / case.name)
    jobs = _jobs(folder, case, scoring)
    outcomes = collect(pool, progress, "score", score_object, jobs)
    check_failed_share("score", outcomes, 0.0)
    scores = {outcome.uid: _metrics(outcome, case) for outcome in outcomes}
    return {uid: scores.get(uid, {}) | own.get(uid, {}) for uid in sorted(scores.keys() | own.keys())}


def _metrics(outcome: Outcome, case: Case) -> dict[str, float]:
    assert isinstance(outcome, Done), "a failure has stopped the command before"
    cases = outcome.facts["cases"]
    assert isinstance(cases, dict), "score_object names the cases"
    metrics = cases[case.name]
    assert isinstance(metrics, dict), "score_object names the metrics"
    return {name: float(str(value)) for name, value in metrics.items()}


def _jobs(folder: Path, case: Case, scoring: Scoring) -> list[ScoreJob]:
    views = ViewSet.open(folder / VIEWS / case.name)
    meshed = {row.uid for row in read_ledger(folder / MESHES) if isinstance(row, Done)}
    return [
        ScoreJob(
            uid=uid,
            group=str(views.facts[uid]["group"]),
            cases=(case,),
            meshed=frozenset([case.name] if f"{case.name}/{uid}" in meshed else []),
            test_views=scoring.truth,
            samples=folder / VIEWS,
            meshes=folder / MESHES,
            config=scoring.config,
            seed=scoring.seed,
            threads=1,
            device=scoring.device,
        )
        for uid in views.uids
    ]


def score_table(title: str, scores: Scores) -> Table:
    """Return the mean of every metric with its standard error and the number of its objects."""
    shown = [name for name in DIGITS if any(name in metrics for metrics in scores.values())]
    table = Table("metric", "mean", "standard error", "objects", title=title)
    for name in shown:
        values = [metrics[name] for metrics in scores.values() if name in metrics]
        table.add_row(name, *(f"{value:.{DIGITS[name]}f}" for value in _mean_and_error(values)), str(len(values)))
    return table


def published_table(case: Case) -> Table:
    """Return what papers report for as many given views, with the source and how the protocol differs."""
    number = 2 if case.protocol == "sparse" else 1
    rows = [row for row in (*PUBLISHED, *PUBLISHED_SINCE) if (row.table, row.conditions) == (number, case.conditions)]
    table = Table("published", *NAMES, "source", title=f"Published rows, {case.conditions} given")
    for row in rows:
        values = (f"{row.metrics[name]:.{DIGITS[name]}f}" if name in row.metrics else "-" for name in NAMES)
        table.add_row(row.method, *values, f"{row.source}. {row.differs}".strip())
    return table


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return float(np.mean(values)), error
