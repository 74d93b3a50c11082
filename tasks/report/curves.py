"""Curves over the number of given views: what another photo is worth, for every method, as an SVG file."""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.evaluation.summary import ERROR
from tasks.report.charts import svg_figure
from tasks.report.published import PUBLISHED
from tasks.report.tables import all_groups
from tasks.report.words import method_title

METRICS = {"psnr": "PSNR (dB) ↑", "ssim_inner": "SSIM ↑", "chamfer": "Chamfer ↓", "volume_iou": "volume IoU ↑"}
SCANS = "scan"
"""Group of objects whose kind is that of the paper; its published curve is drawn beside them."""
Points = Sequence[tuple[int, Mapping[str, float]]]
"""(number of given views, metrics), in the order of the number."""


def condition_curves(cases: Sequence[Case], summary: Summary) -> Iterator[tuple[str, bytes]]:
    """Yield each group of objects with its curves, where a method was given several numbers of views.

    The bars are one standard error of the mean over objects.
    """
    sparse = [case for case in cases if case.protocol == "sparse"]
    for group in all_groups(sparse, summary):
        curves: dict[str, Points] = {
            method_title(method): [
                (case.conditions, summary[case.name][group])
                for case in sorted(sparse, key=lambda one: one.conditions)
                if case.method == method and group in summary[case.name]
            ]
            for method in dict.fromkeys(case.method for case in sparse)
        }
        if any(len(points) > 1 for points in curves.values()):
            yield group, _draw(curves, _published() if group == SCANS else [])


def _published() -> Points:
    return [(row.conditions, row.metrics) for row in PUBLISHED if (row.table, row.method) == (2, "MVDiffusion++")]


def _draw(curves: Mapping[str, Points], published: Points) -> bytes:
    buffer = io.BytesIO()
    with svg_figure((8.4, 4.6), buffer) as figure:
        for axes, (metric, title) in zip(figure.subplots(2, 2).flat, METRICS.items(), strict=True):
            for name, points in curves.items():
                _curve(axes, points, metric, name)
            if published:
                known = [(x, row[metric]) for x, row in published]
                axes.plot(*np.transpose(known), ":", color="black", linewidth=1, label="MVDiffusion++ (published)")
            ticks = sorted({x for points in (*curves.values(), published) for x, _ in points})
            axes.set(title=title, xticks=ticks)
            axes.grid(axis="y")
        for axes in figure.axes[2:]:
            axes.set_xlabel("given views")
    return buffer.getvalue()


def _curve(axes: Axes, points: Points, metric: str, label: str) -> None:
    """Draw one method; its colour is used up also where it lacks the metric, so that it has one in all charts."""
    known = [(x, row[metric], row.get(f"{metric}{ERROR}", 0.0)) for x, row in points if metric in row]
    xs, means, errors = np.transpose(known) if known else ([], [], [])
    axes.errorbar(xs, means, errors, label=label, marker="o", markersize=3.5, capsize=2.5, elinewidth=0.9)
