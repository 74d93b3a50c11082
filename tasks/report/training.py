"""Loss curves of the trainings, from the histories that they kept."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.artifacts.manifest import HISTORY
from tasks.report.charts import Curve, loss_chart
from tasks.report.inputs import ReportInputs
from tasks.report.pictures import Picture, chart

TITLES = {
    "train-vae": "Mask-aware VAE",
    "train-stage1": "Stage 1: ε, one view given",
    "train-stage2": "Stage 2: v, one view given",
    "train-stage3": "Stage 3: v, one or several",
    "distil": "Distilled from stage 3",
}
CURVES = {"training loss": "loss", "validation loss": "val_loss"}
"""Title of a curve -> column of the history."""


def training_charts(inputs: ReportInputs) -> Iterator[tuple[str, Picture]]:
    """Yield title and loss curves of each training that kept a history."""
    for stage, folder, _ in inputs.folders():
        curves = read_curves(folder / HISTORY) if stage in TITLES else {}
        if curves:
            alt = f"{' and '.join(curves)} of {stage} over samples seen"
            yield TITLES[stage], chart(loss_chart(curves), alt)


def read_curves(path: Path) -> dict[str, Curve]:
    """Read the curves of a history, (points, 2) samples seen and loss each; a curve without values is left out."""
    if not path.exists():
        return {}
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    curves = {}
    for title, column in CURVES.items():
        if points := [(float(row["samples_seen"]), float(row[column])) for row in rows if row.get(column)]:
            curves[title] = np.array(points)
    return curves
