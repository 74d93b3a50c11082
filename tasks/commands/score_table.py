"""Scores an imported case by the code that scores our own samples, and shows its row."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import ObjectScore
from tasks.evaluation.predictions import Predictions, Scoring, score_predictions
from tasks.evaluation.summary import ERROR, num_objects, summarize
from tasks.peers.import_object import OWN_MASK_IOU
from tasks.ports import Pool, Progress
from tasks.report.paper_tables import COLUMNS as PAPER_COLUMNS
from tasks.report.published import NAMES
from tasks.report.published_since import ALL_PUBLISHED
from tasks.report.words import COLUMNS, groups_title

SHOWN = (
    *("psnr", "psnr_other", "psnr_16", "ssim", "ssim_inner", "lpips", "st_lpips", "mask_iou", OWN_MASK_IOU),
    *("azimuth_hit_rate", "azimuth_margin", "azimuth_chance", "azimuth_alike"),
    *("chamfer", "chamfer_area", "f_score", "normal_consistency", "volume_iou"),
    *("consistency_chamfer", "consistency_psnr"),
)
"""Metrics of the table, in its order."""
DIGITS = {"psnr_16": 2, OWN_MASK_IOU: 3, "azimuth_chance": 2, "azimuth_alike": 2} | {
    column.metric: column.digits for column in (*COLUMNS, *PAPER_COLUMNS)
}
"""How many digits each shows: as in the report."""


def score_case(folder: Path, case: Case, scoring: Scoring, pool: Pool, progress: Progress) -> list[ObjectScore]:
    """Score the views and meshes of a case in a peer's folder.

    Raises RuntimeError when an object cannot be scored.
    """
    return score_predictions([Predictions.below(folder, only=case)], scoring, pool, progress)


def score_tables(title: str, scores: Sequence[ObjectScore]) -> Iterator[Table]:
    """Yield, per case and group of objects, the means of all metrics, their standard errors and numbers of objects."""
    for groups in summarize(scores).values():
        for group, metrics in groups.items():
            table = Table("metric", "mean", "standard error", "objects", title=f"{title}, {groups_title(group)}")
            for name in (name for name in SHOWN if name in metrics):
                values = (metrics[name], metrics.get(f"{name}{ERROR}", math.nan))
                cells = (f"{value:.{DIGITS[name]}f}" for value in values)
                table.add_row(name, *cells, str(num_objects(metrics, name)))
            yield table


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
