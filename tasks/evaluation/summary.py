"""Means over objects, and the tables of all scores."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import ObjectScore, Summary

ERROR, COUNT = "_se", "_n"
"""Ends of the names under which a metric's standard error stands, and the number of the objects that have it."""


def summarize(rows: Sequence[ObjectScore]) -> Summary:
    """Average over the objects of each case and group.

    Beside each metric stands its standard error over the objects, `<metric>_se`, where there are at least two; and
    where not all `objects` have the metric, `<metric>_n`, how many do. `meshes` counts the objects with a mesh.
    """
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for case, group in sorted({(row.case.name, row.group) for row in rows}):
        members = [row.metrics for row in rows if (row.case.name, row.group) == (case, group)]
        facts: dict[str, float] = {
            "objects": len(members),
            "meshes": sum("volume_iou" in metrics or "chamfer" in metrics for metrics in members),
        }
        for name in sorted({name for metrics in members for name in metrics}):
            facts |= _mean_over_objects(name, [metrics[name] for metrics in members if name in metrics], len(members))
        summary.setdefault(case, {})[group] = facts
    return summary


def _mean_over_objects(name: str, values: Sequence[float], num_objects: int) -> dict[str, float]:
    facts = {name: float(np.mean(values))}
    if len(values) > 1:
        facts[f"{name}{ERROR}"] = float(np.std(values, ddof=1) / np.sqrt(len(values)))
    if len(values) < num_objects:
        facts[f"{name}{COUNT}"] = len(values)
    return facts


def num_objects(metrics: Mapping[str, float], name: str) -> int:
    """Return how many objects of a group have a metric, from the group's means."""
    return int(metrics.get(f"{name}{COUNT}", metrics["objects"]))


def case_rows(cases: Iterable[Case], summary: Summary) -> Iterator[dict[str, object]]:
    """Yield a row of all means per case and group of objects."""
    for case in cases:
        for group, metrics in summary[case.name].items():
            facts = {"method": case.method, "protocol": case.protocol, "conditions": case.conditions, "group": group}
            yield facts | dict(metrics)


def object_rows(rows: Iterable[ObjectScore]) -> Iterator[dict[str, object]]:
    """Yield a row of all scores per case and object."""
    for row in rows:
        yield {"case": row.case.name, "uid": row.uid, "group": row.group, **row.metrics}


def case_table(cases: Iterable[Case], summary: Summary) -> bytes:
    """Return the CSV table of all means: a row per case and group."""
    rows = [{"case": case.name} | row for case in cases for row in case_rows([case], summary)]
    return as_csv(rows, ("case", "method", "protocol", "conditions", "group", "objects", "meshes"))


def object_table(rows: Iterable[ObjectScore]) -> bytes:
    """Return the CSV table of all scores: a row per case and object."""
    return as_csv(list(object_rows(rows)), ("case", "uid", "group"))


def as_csv(rows: Sequence[Mapping[str, object]], first: Sequence[str]) -> bytes:
    """Return a CSV table with the columns `first`, then all others by name; blank where a row lacks a value."""
    columns = [*first, *sorted({name for row in rows for name in row} - set(first))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(_rounded(row) for row in rows)
    return text.getvalue().encode()


def _rounded(row: Mapping[str, object]) -> dict[str, object]:
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
