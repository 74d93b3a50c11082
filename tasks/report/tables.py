"""Tables of results: every case, then the two baselines; the best value of each column is marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.artifacts.cases import Case, Protocol
from tasks.evaluation.object_scores import Summary
from tasks.report.words import COLUMNS, Column, case_title

Metrics = Mapping[str, float]
BASELINES = {"white": "All white", "copy": "First given view, copied"}
"""Suffix of a baseline's metrics -> title."""


@dataclass(frozen=True)
class ResultTable:
    """The results of one protocol on one group of objects."""

    protocol: Protocol
    group: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """(title, cells); a cell is a number as text and its mark: best, good, bad, soft or none."""


def group_order(group: str) -> tuple[bool, str]:
    """Return the sort key by which training objects come first."""
    return group != "train", group


def all_groups(cases: Iterable[Case], summary: Summary) -> list[str]:
    """List the groups of objects that any of `cases` was scored on, training objects first."""
    return sorted({group for case in cases for group in summary[case.name]}, key=group_order)


def result_tables(cases: Sequence[Case], summary: Summary) -> Iterator[ResultTable]:
    """Yield a table per protocol and group of objects, in the order of the cases."""
    for protocol in dict.fromkeys(case.protocol for case in cases):
        members = [case for case in cases if case.protocol == protocol]
        for group in all_groups(members, summary):
            scores = {case_title(case): summary[case.name][group] for case in members if group in summary[case.name]}
            columns = [column for column in COLUMNS if any(column.metric in row for row in scores.values())]
            cells = [_column_cells(column, list(scores.values())) for column in columns]
            rows = tuple(zip([*scores, *BASELINES.values()], zip(*cells, strict=True), strict=True))
            yield ResultTable(protocol, group, tuple(column.title for column in columns), rows)


def _column_cells(column: Column, scores: Sequence[Metrics]) -> list[tuple[str, str]]:
    """The cells of one column, those of the baselines last; they are the same for every case."""
    values = [row.get(column.metric) for row in scores]
    known = [value for value in values if value is not None]
    best = max(known, key=lambda value: column.best * value) if column.best and len(scores) > 1 else None
    baselines = [scores[0].get(f"{column.metric}_{suffix}") for suffix in BASELINES]
    return [
        *((column.show(value), _mark(column, value, best)) for value in values),
        *((column.show(value), "soft") for value in baselines),
    ]


def _mark(column: Column, value: float | None, best: float | None) -> str:
    if value is None:
        return ""
    if column.signed:
        return "good" if value > 0 else "bad"
    return "best" if value == best else ""
