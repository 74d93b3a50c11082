"""Where the objects and their scores come from, and under which licences, as the facts of catalog and select say."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from tasks.artifacts.manifest import Manifest
from tasks.report.charts import svg_figure
from tasks.report.pictures import Picture, chart

CLASSES = ("low", "medium", "high", "superior")
"""Objaverse++'s classes of quality, from 0."""


@dataclass(frozen=True)
class DataSummary:
    """What the page says of the objects that were chosen."""

    dropped: tuple[tuple[str, int], ...] = ()
    """(field of the section select, objects that it drops)."""
    licences: tuple[tuple[str, int, int], ...] = ()
    """(licence, objects listed, objects kept)."""
    scores: tuple[tuple[str, str, int, int, int, int, int], ...] = ()
    """(table, column, rows, objects matched, objects that use it, rows without object, objects with two values)."""
    agreements: tuple[tuple[str, str, int, str, int, int, int, int], ...] = ()
    """(first table, second table, objects of both, Spearman's rank correlation, good enough by both, by the first only,
    by the second only, by neither)."""
    histogram: Picture | None = None
    """Scores of the catalog's objects by table."""


def summarise_data(manifests: Mapping[str, Manifest]) -> DataSummary:
    """Read the summary from the manifests of catalog and select."""
    catalog, selected = manifests["catalog"].facts, manifests["select"]
    kept: Mapping[str, int] = selected.facts.get("licences", {})
    tables: Sequence[Mapping[str, Any]] = catalog.get("scores", ())
    min_score = float(selected.config["min_score"])
    return DataSummary(
        dropped=tuple(selected.facts.get("dropped", {}).items()),
        licences=tuple((name, count, kept.get(name, 0)) for name, count in catalog.get("licences", {}).items()),
        scores=tuple((row["table"], row["column"], *(row[name] for name in _COUNTS)) for row in tables),
        agreements=tuple(_agreement(row) for row in selected.facts.get("agreement", ())),
        histogram=chart(score_chart(tables, min_score), "Histogram of scores by table") if tables else None,
    )


_COUNTS = ("rows", "matched", "used", "without_object", "contradicted")


def _agreement(row: Mapping[str, Any]) -> tuple[str, str, int, str, int, int, int, int]:
    correlation = "-" if row["spearman"] is None else f"{row['spearman']:.2f}"
    counts = (row["both"], row["only_first"], row["only_second"], row["neither"])
    return row["first"], row["second"], row["objects"], correlation, *counts


def score_chart(tables: Sequence[Mapping[str, Any]], min_score: float) -> bytes:
    """Draw how many objects of the catalog each table gives which score, as SVG: one chart for each scale.

    Args:
        tables: Rows of the catalog's fact `scores`, at least one.
        min_score: `select.min_score`, which is marked.
    """
    buffer = io.BytesIO()
    scales = [column for column in ("score", "quality") if any(row["column"] == column for row in tables)]
    with svg_figure((3.6 * len(scales), 2.4), buffer) as figure:
        for index, column in enumerate(scales):
            axes = figure.add_subplot(1, len(scales), index + 1)
            for row in tables:
                if row["column"] == column:
                    edges, counts = (np.asarray(row["histogram"][name]) for name in ("edges", "counts"))
                    axes.stairs(counts, edges, label=row["table"], fill=True, alpha=0.5)
            if column == "score":
                axes.axvline(min_score, color="black", linewidth=0.9, label="select.min_score")
                axes.set(xlabel="aesthetic score")
            else:
                axes.set_xticks(range(len(CLASSES)), CLASSES)
                axes.set(xlabel="quality")
                if index:
                    axes.set_title(
                        ", ".join(row["table"] for row in tables if row["column"] == column), loc="left", fontsize=8
                    )
            axes.set(ylabel="objects", ylim=(0, None))
            axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.grid(axis="y")
    return buffer.getvalue()
