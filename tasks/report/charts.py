"""Charts as SVG files: loss curves over samples seen, and PSNR bars beside the baselines.

Equal input gives equal bytes: ids are salted, there is no date, and text is drawn as paths of matplotlib's own font.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import matplotlib.style
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.evaluation.summary import ERROR
from tasks.report.tables import BASELINES, all_groups
from tasks.report.words import case_title, groups_title

STYLE = "tasks.report.templates.charts"
MAX_POINTS = 240
"""Points per curve; a longer curve is shown as means over equal stretches."""
MAX_BINS = 40
"""Bars of a histogram."""
MARK_STYLES: tuple[tuple[float, Sequence[float]], ...] = ((0, ()), (0, (1.5, 1)))
"""Dashes of the mark of each baseline: none, then (on, off) in line widths."""
Curve = npt.NDArray[np.float64]


@contextmanager
def svg_figure(inches: tuple[float, float], buffer: io.BytesIO) -> Iterator[Figure]:
    """Open a figure that is written as SVG at the end, whatever settings of matplotlib the user has.

    The legend takes what the first axes name.
    """
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=inches, layout="constrained")
        yield figure
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
        figure.savefig(buffer, format="svg", metadata={"Creator": None, "Date": None})


def loss_chart(curves: Mapping[str, Curve]) -> bytes:
    """Draw losses over samples seen as SVG, on a logarithmic axis when all of them are positive.

    Each curve is (points, 2): samples seen and loss.
    """
    buffer = io.BytesIO()
    with svg_figure((3.1, 2.3), buffer) as figure:
        axes = figure.add_subplot()
        for name, points in curves.items():
            axes.plot(*shorten(points).T, label=name)
        losses = np.concatenate([points[:, 1] for points in curves.values()])
        if losses.min() > 0:
            axes.set_yscale("log")
            is_wide = losses.max() > 10 * losses.min()
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if is_wide else MaxNLocator(5))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set(xlabel="samples seen", ylabel="loss", xlim=(0, None))
        axes.grid(axis="y")
    return buffer.getvalue()


def histograms(values: Mapping[str, npt.NDArray[np.float32]], counted: str) -> bytes:
    """Draw a histogram of each array of shares, 0 to 1, as SVG, side by side; `counted` names what is counted."""
    buffer = io.BytesIO()
    with svg_figure((3.1 * len(values), 2.1), buffer) as figure:
        for axes, (name, shares) in zip(figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True):
            axes.hist(shares, bins=MAX_BINS, range=(0, 1))
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.set(xlabel=name, ylabel=counted, xlim=(0, 1))
            axes.grid(axis="y")
    return buffer.getvalue()


def shorten(points: Curve) -> Curve:
    """Reduce a curve to at most MAX_POINTS points, the means over stretches of equal length."""
    stretches = np.array_split(points, min(MAX_POINTS, len(points)))
    return np.stack([stretch.mean(axis=0) for stretch in stretches])


def psnr_chart(cases: Sequence[Case], summary: Summary) -> bytes:
    """Draw the PSNR of every case and group of objects as SVG: a bar each, with a mark for each baseline.

    The whiskers are one standard error of the mean; a case without views has no bar and is left out.
    """
    drawn = [case for case in cases if any("psnr" in row for row in summary[case.name].values())]
    groups, buffer = all_groups(drawn, summary), io.BytesIO()
    height = 0.8 / max(1, len(groups))
    with svg_figure((8.4, 1 + 0.24 * len(drawn) * len(groups)), buffer) as figure:
        axes = figure.add_subplot()
        for index, group in enumerate(groups):
            scores = {y: summary[case.name][group] for y, case in enumerate(drawn) if group in summary[case.name]}
            middles = np.array([*scores]) + (index - (len(groups) - 1) / 2) * height
            _bars(axes, middles, list(scores.values()), 0.86 * height, groups_title(group))
            for (suffix, title), style in zip(BASELINES.items(), MARK_STYLES, strict=True):
                known = [
                    (row[name], y)
                    for y, row in zip(middles, scores.values(), strict=True)
                    if (name := f"psnr_{suffix}") in row
                ]
                values, ys = np.reshape(known, (-1, 2)).T
                label = title if index == 0 else ""
                axes.vlines(values, ys - height / 2, ys + height / 2, "black", linestyles=style, label=label)
        titles = [case_title(case) + ("" if case.protocol == "sparse" else f", {case.protocol}") for case in drawn]
        axes.set_yticks(range(len(drawn)), titles)
        axes.tick_params("y", length=0)
        axes.set(xlabel="PSNR (dB)", ylim=(len(drawn) - 0.5, -0.5))
        axes.margins(x=0.08)
        axes.grid(axis="x")
    return buffer.getvalue()


def _bars(axes: Axes, middles: Curve, scores: Sequence[Mapping[str, float]], height: float, label: str) -> None:
    """Draw one group of objects, each bar with its value to the right of all its marks."""
    errors = [row.get(f"psnr{ERROR}", 0.0) for row in scores]
    whiskers = {"elinewidth": 0.9, "ecolor": "#50565d"}
    axes.barh(middles, [row["psnr"] for row in scores], height, xerr=errors, error_kw=whiskers, alpha=0.75, label=label)
    for y, row, error in zip(middles, scores, errors, strict=True):
        right = max([row["psnr"] + error, *(row.get(f"psnr_{name}", 0.0) for name in BASELINES)])
        axes.annotate(f"{row['psnr']:.1f}", (right, y), (5, 0), textcoords="offset points", va="center")
