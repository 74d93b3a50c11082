"""A study's curves as SVG files: quality over samples, over given views, over cost, and while training."""

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from tasks.artifacts.cases import Case
from tasks.report.charts import shorten, svg_figure
from tasks.report.words import case_title, method_title
from tests.bench.study.results import Results, Run
from tests.bench.study.statistics import Estimate, Floats
from tests.bench.study.tables import seconds, seconds_title

SHOWN = {"psnr": "PSNR (dB)", "azimuth_hit_rate": "azimuth hit rate"}
FLOORS = {"psnr": "psnr_copy", "azimuth_hit_rate": "azimuth_chance"}
"""Metric -> the metric of what needs no model: the copied view, guessing."""
TRAINING = {"val_psnr": "PSNR (dB), validation", "val_azimuth_hit_rate": "azimuth hits, validation"}
INCHES = (8.4, 3.0)
Points = Sequence[tuple[float, Estimate]]


def study_charts(results: Results, group: str) -> Iterator[tuple[str, bytes]]:
    """Yield title and SVG of each chart that has more than one point to draw."""
    case, most = results.headline, results.budgets[-1]
    views = [one for one in results.cases if (one.method, one.protocol) == (case.method, "sparse")]
    if len(results.budgets) > 1:
        yield (
            f"Over training samples: {case_title(case)}",
            _draw(results, group, _over_samples(results, case, group), "samples"),
        )
    if len(views) > 1:
        label = f"given views ({most:,} samples)"
        yield (
            f"Over given views: {method_title(case.method)}",
            _draw(results, group, _over_views(results, views, group, most), label),
        )
    yield (
        f"Over cost: {case_title(case)}",
        _draw(results, group, _over_cost(results, case, group), f"{seconds_title(results)} of all trainings"),
    )
    if training := _while_training(results, most):
        yield f"While training, {most:,} samples, mean over seeds", training


Curves = Callable[[str, str], Points]
"""(variant, metric) -> points."""


def _over_samples(results: Results, case: Case, group: str) -> Curves:
    return lambda variant, metric: _known(
        (samples, results.mean(variant, samples, case, group, metric)) for samples in results.budgets
    )


def _over_views(results: Results, cases: Sequence[Case], group: str, samples: int) -> Curves:
    return lambda variant, metric: _known(
        (case.conditions, results.mean(variant, samples, case, group, metric)) for case in cases
    )


def _over_cost(results: Results, case: Case, group: str) -> Curves:
    return lambda variant, metric: _known(
        (seconds(results, variant, samples), results.mean(variant, samples, case, group, metric))
        for samples in results.budgets
        if results.of(variant, samples)
    )


def _known(points: Iterator[tuple[float, Estimate | None]]) -> Points:
    return [(x, value) for x, value in points if value is not None]


def _draw(results: Results, group: str, curves: Curves, label: str) -> bytes:
    """Draw both metrics, a curve per variant with one standard error, beside what needs no model."""
    buffer = io.BytesIO()
    with svg_figure(INCHES, buffer) as figure:
        for axes, (metric, title) in zip(figure.subplots(1, 2), SHOWN.items(), strict=True):
            for variant in results.variants:
                _curve(axes, curves(variant, metric), variant)
            floor = results.mean(results.variants[0], results.budgets[-1], results.headline, group, FLOORS[metric])
            if floor is not None:
                axes.axhline(floor.mean, color="black", linewidth=0.8, linestyle=":", label="copied view, guessing")
            axes.set(title=title, xlabel=label)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.grid(axis="y")
    return buffer.getvalue()


def _curve(axes: Axes, points: Points, label: str) -> None:
    """Draw one variant; its colour is used up also where it lacks the metric."""
    xs = [x for x, _ in points]
    errors = [value.error or 0.0 for _, value in points]
    means = [value.mean for _, value in points]
    axes.errorbar(xs, means, errors, label=label, marker="o", markersize=3.5, capsize=2.5, elinewidth=0.9)


def _while_training(results: Results, samples: int) -> bytes | None:
    """Draw what the validations found, stage after stage; None where none drew views."""
    curves = {
        (variant, metric): _mean_curve(results.of(variant, samples), metric)
        for variant in results.variants
        for metric in TRAINING
    }
    if not any(curve.size for curve in curves.values()):
        return None
    buffer = io.BytesIO()
    with svg_figure(INCHES, buffer) as figure:
        for axes, (metric, title) in zip(figure.subplots(1, 2), TRAINING.items(), strict=True):
            for variant in results.variants:
                curve = curves[variant, metric]
                axes.plot(*(shorten(curve).T if curve.size else ([], [])), label=variant)
            axes.set(title=title, xlabel="samples seen")
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.grid(axis="y")
    return buffer.getvalue()


def _mean_curve(runs: Sequence[Run], metric: str) -> Floats:
    """Mean over the seeds, at the samples that all have."""
    curves = [dict(run.curve(metric).tolist()) for run in runs]
    shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return np.array([[x, np.mean([curve[x] for curve in curves])] for x in shared]).reshape(-1, 2)
