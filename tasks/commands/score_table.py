"""Scores an imported case by the code that scores our own samples, and shows its row."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from tasks.artifacts.cases import Case
from tasks.evaluation.predictions import Predictions, Scoring, score_predictions
from tasks.peers.import_object import OWN_MASK_IOU
from tasks.ports import Pool, Progress
from tasks.report.published import NAMES
from tasks.report.published_since import ALL_PUBLISHED

Scores = Mapping[str, Mapping[str, float]]
"""Object -> metric -> value."""
DIGITS = {
    "psnr": 2,
    "psnr_other": 2,
    "psnr_16": 2,
    "ssim": 3,
    "ssim_inner": 3,
    "lpips": 3,
    "st_lpips": 3,
    "mask_iou": 3,
    OWN_MASK_IOU: 3,
    "chamfer": 4,
    "chamfer_area": 4,
    "f_score": 3,
    "normal_consistency": 3,
    "volume_iou": 4,
    "consistency_chamfer": 4,
    "consistency_psnr": 2,
}
"""Metrics of the table, in its order, and how many digits each shows."""


def score_case(folder: Path, case: Case, scoring: Scoring, pool: Pool, progress: Progress) -> Scores:
    """Score the views and meshes of a case in a peer's folder.

    Raises RuntimeError when an object cannot be scored.
    """
    rows = score_predictions([Predictions.below(folder, only=case)], scoring, pool, progress)
    return {row.uid: dict(row.metrics) for row in rows}


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
    rows = [row for row in ALL_PUBLISHED if (row.table, row.conditions) == (number, case.conditions)]
    notes = list(dict.fromkeys(row.note for row in rows))
    caption = "\n".join(f"{number}: {note}" for number, note in enumerate(notes, start=1))
    title = f"Published rows, {case.conditions} given"
    table = Table("published", *NAMES, "note", title=title, caption=caption, caption_justify="left")
    for row in rows:
        values = (f"{row.metrics[name]:.{DIGITS[name]}f}" if name in row.metrics else "-" for name in NAMES)
        table.add_row(row.method, *values, str(1 + notes.index(row.note)))
    return table


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return float(np.mean(values)), error
