"""Tables 1 and 2 of the paper in its own layout: our rows, baselines, peers, and the published ones marked as such."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.report.published import Published
from tasks.report.published_since import ALL_PUBLISHED
from tasks.report.tables import Cell, error_text
from tasks.report.words import Column, groups_title, method_title

COLUMNS = (
    Column("chamfer", "Chamfer ↓", 4, best=-1),
    Column("volume_iou", "Volume IoU ↑", 4, best=1),
    Column("psnr", "PSNR ↑", 2, best=1),
    Column("ssim_inner", "SSIM ↑", 3, best=1),
    Column("lpips", "LPIPS ↓", 3, best=-1),
)
"""The metrics of the paper's tables, in its order and to its digits."""
PREFERRED_GROUPS = ("gso", "scan", "held_out")
"""Objects that the paper's tables are about, the likest first; a model that saw none of them is scored on the last."""
NO_WEIGHTS = "LPIPS: not computed, since evaluate.lpips_weights names no weights of its network"
NO_MESH = "no mesh: none of its objects could be reconstructed, or the method makes none"
NO_VIEWS = "no views: the method makes meshes alone"
DASH = "\N{EN DASH}"
NOT_PUBLISHED = "not published"
NOT_SCORED = "not computed"


@dataclass(frozen=True)
class PaperRow:
    """One row: a method given so many views."""

    title: str
    conditions: int
    num_objects: int | None
    """None for a published row."""
    cells: tuple[Cell, ...]
    note: str = ""

    @property
    def is_published(self) -> bool:
        """Whether the numbers are those of a publication."""
        return self.num_objects is None


@dataclass(frozen=True)
class PaperTable:
    """One of the paper's tables."""

    number: int
    caption: str
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    notes: tuple[str, ...]
    """Footnotes; a cell or row refers to them by their place."""


def paper_tables(cases: Sequence[Case], summary: Summary) -> Iterator[PaperTable]:
    """Yield Table 1 (one view given) and Table 2 (several), each on the objects that are likest to the paper's."""
    protocols = {case.protocol for case in cases}
    single = next((one for one in ("gso", "ring") if one in protocols), None)
    for number, protocol in ((1, single), (2, "sparse")):
        members = [case for case in cases if case.protocol == protocol]
        group = likest_group(members, summary)
        shown = [case for case in members if group in summary[case.name]]
        where = f"{groups_title(group)} of the protocol {protocol}" if group else "nothing was sampled for it"
        yield _table(number, f"{TITLES[number]}; {where}", shown, {c.name: summary[c.name][str(group)] for c in shown})


TITLES = {
    1: "Table 1, one view given: 8 views at elevation 30°, 256 px",
    2: "Table 2, sparse views: 32 targets from 1 to 10 given views without poses",
}


def likest_group(cases: Iterable[Case], summary: Summary) -> str | None:
    """Return the group of objects that is likest to the paper's among those that cases were scored on."""
    groups = sorted({group for case in cases for group in summary[case.name]})
    return min(groups, key=lambda one: (*(one != name for name in PREFERRED_GROUPS), one), default=None)


def _table(number: int, caption: str, cases: Sequence[Case], scores: Mapping[str, Mapping[str, float]]) -> PaperTable:
    own = [scores[case.name] for case in cases]
    best = [_best(column, [row[column.metric] for row in own if column.metric in row]) for column in COLUMNS]
    rows = [
        *(_published_row(row) for row in ALL_PUBLISHED if row.table == number),
        *(_own_row(case, scores[case.name], best) for case in cases),
    ]
    notes = dict.fromkeys(note for row in rows for note in (row.note, *(cell.note for cell in row.cells)) if note)
    return PaperTable(number, caption, tuple(column.title for column in COLUMNS), tuple(rows), tuple(notes))


def _best(column: Column, values: Sequence[float]) -> str | None:
    """The best of our numbers as it is written; of one alone, none."""
    return column.show(max(values, key=lambda value: column.best * value)) if len(values) > 1 else None


def _published_row(row: Published) -> PaperRow:
    cells = (
        Cell(column.show(row.metrics[column.metric]))
        if column.metric in row.metrics
        else Cell(DASH, note=NOT_PUBLISHED)
        for column in COLUMNS
    )
    return PaperRow(row.method, row.conditions, None, tuple(cells), row.note)


def _own_row(case: Case, metrics: Mapping[str, float], best: Sequence[str | None]) -> PaperRow:
    cells = tuple(_own_cell(column, metrics, top) for column, top in zip(COLUMNS, best, strict=True))
    return PaperRow(method_title(case.method), case.conditions, int(metrics["objects"]), cells)


def _own_cell(column: Column, metrics: Mapping[str, float], best: str | None) -> Cell:
    if column.metric not in metrics:
        return Cell(DASH, note=_why_missing(column.metric, metrics))
    text = column.show(metrics[column.metric])
    return Cell(text, error_text(column, metrics), "best" if text == best else "")


def _why_missing(metric: str, metrics: Mapping[str, float]) -> str:
    if metric in ("chamfer", "volume_iou"):
        return NO_MESH
    if "psnr" not in metrics:
        return NO_VIEWS
    return NO_WEIGHTS if metric == "lpips" else NOT_SCORED
