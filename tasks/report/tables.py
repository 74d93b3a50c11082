"""Tables of results: every case with all its metrics, then the two baselines; the best value of a column is marked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.artifacts.cases import Case, Protocol
from tasks.evaluation.object_scores import Summary
from tasks.evaluation.summary import COUNT, ERROR
from tasks.report.azimuth import azimuth_sentence
from tasks.report.words import COLUMN_OF, COLUMNS, Column, case_title

Metrics = Mapping[str, float]
BASELINES = {"white": "All white", "copy": "First given view, copied"}
"""Suffix of a baseline's metrics -> title."""
NO_COLUMN = (ERROR, COUNT, "_other", "_16", *(f"_{name}" for name in BASELINES))
"""Ends of the names that are shown beside or under another metric, not as a column of their own."""
LEFT_OUT = frozenset({"views", "consistency_f_score", "azimuth_alike", "azimuth_chance"})
"""Metrics that stand in the CSV tables alone."""


@dataclass(frozen=True)
class Cell:
    """A number as text, its standard error, its mark (best, good, bad, soft or none) and why it is missing."""

    text: str = ""
    error: str = ""
    mark: str = ""
    note: str = ""


@dataclass(frozen=True)
class ResultTable:
    """The results of one protocol on one group of objects."""

    protocol: Protocol
    group: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    """(title, cells)."""
    note: str = ""
    """A sentence below the table."""


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
            of_case = {case: summary[case.name][group] for case in members if group in summary[case.name]}
            scores = {case_title(case): row for case, row in of_case.items()}
            columns = _columns(scores.values())
            baselines = _baselines(scores.values())
            cells = [_column_cells(column, list(scores.values()), baselines) for column in columns]
            titles = [*scores, *(BASELINES[suffix] for suffix in baselines)]
            rows = tuple(zip(titles, zip(*cells, strict=True), strict=True))
            titles_of_columns = tuple(column.title for column in columns)
            yield ResultTable(protocol, group, titles_of_columns, rows, azimuth_sentence(of_case))


def _columns(scores: Iterable[Metrics]) -> list[Column]:
    """List the columns that any case has a value for; metrics that have no title go by their names, last."""
    present = {name for row in scores for name in row if not name.endswith(NO_COLUMN) or name in COLUMN_OF} - LEFT_OUT
    others = sorted(present - COLUMN_OF.keys())
    return [*(column for column in COLUMNS if column.metric in present), *(Column(name, name, 4) for name in others)]


def _baselines(scores: Iterable[Metrics]) -> dict[str, Metrics]:
    """Return, by the suffix of each baseline, the metrics of a case that knows it; they are the same for every case."""
    found = {}
    for suffix in BASELINES:
        if knowing := [row for row in scores if f"psnr_{suffix}" in row]:
            found[suffix] = knowing[0]
    return found


def _column_cells(column: Column, scores: Sequence[Metrics], baselines: Mapping[str, Metrics]) -> list[Cell]:
    """Write the cells of one column, those of the baselines last."""
    known = [row[column.metric] for row in scores if column.metric in row]
    best = max(known, key=lambda value: column.best * value) if column.best and len(known) > 1 else None
    return [
        *(_cell(column, row, best) for row in scores),
        *(Cell(column.show(row.get(f"{column.metric}_{suffix}")), mark="soft") for suffix, row in baselines.items()),
    ]


def _cell(column: Column, row: Metrics, best: float | None) -> Cell:
    value = row.get(column.metric)
    return Cell(column.show(value), error_text(column, row), _mark(column, value, best))


def error_text(column: Column, row: Metrics) -> str:
    """Write the standard error of a metric, e.g. "± 0.12"; empty where the row has none."""
    error = row.get(f"{column.metric}{ERROR}")
    return "" if error is None else f"± {error:.{column.digits}f}"


def _mark(column: Column, value: float | None, best: float | None) -> str:
    if value is None:
        return ""
    if column.signed:
        return "good" if value > 0 else "bad"
    return "best" if value == best else ""
