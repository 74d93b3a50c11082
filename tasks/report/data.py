"""The parts of the report about data and training: what became of every object, contact sheets, curves, settings."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.manifest import LEDGER, Manifest, read_ledger
from tasks.outcome import Done, Failed, Outcome, Rejected
from tasks.report.charts import Point, curve_chart
from tasks.report.html import Html, fold, join, table, tag
from tasks.report.inputs import ReportInputs
from tasks.report.pictures import smaller
from tasks.report.words import STAGE_NOTES

FUNNEL = ("catalog", "select", "download", "normalize", "render", "render-test", "reconstruct")
HISTORY = "history.csv"
MAX_LISTED = 200
"""Objects listed by name and reason, per stage."""
MAX_SHEETS = 6
SHEET_WIDTH = 640


def funnel(inputs: ReportInputs, manifests: Mapping[str, Manifest]) -> Html:
    """How many items each stage made, rejected and lost, and the reason for every one."""
    folders = dict(inputs.folders())
    rows, folds = [], []
    for stage in FUNNEL:
        counts, facts = manifests[stage].counts, manifests[stage].facts
        done = counts["done"] or int(facts.get("objects", 0))
        rows.append([stage, str(done), _count(counts["rejected"], "soft"), _count(counts["failed"], "bad")])
        ledger = read_ledger(folders[stage])
        lost = [row for row in ledger if not isinstance(row, Done)]
        if lost:
            folds.append(fold(f"{stage}: why {len(lost)} {'is' if len(lost) == 1 else 'are'} missing", _reasons(lost)))
        flags = [(row.uid, row.facts["flags"]) for row in ledger if isinstance(row, Done) and "flags" in row.facts]
        if flags:
            folds.append(fold(f"{stage}: views that failed a quality gate in {len(flags)} objects", _flags(flags)))
    return join([table(["stage", "made", "rejected", "failed"], rows), *folds])


def _count(number: int, class_: str) -> Html:
    return tag("span", str(number), class_=class_ if number else "soft")


def _reasons(lost: Sequence[Outcome]) -> Html:
    """The kinds of reason with their counts, then the items one by one."""
    kinds = Counter(re.sub(r"\d[\d.,]*", "…", _reason(row)) for row in lost)
    rows = [[row.uid, row.status, _reason(row)] for row in lost[:MAX_LISTED]]
    parts = [table(["item", "status", "reason"], rows, class_="words")]
    if len(lost) > len(kinds):
        parts.insert(0, tag("ul", *(tag("li", f"{count} x {kind}") for kind, count in kinds.most_common())))
    if len(lost) > MAX_LISTED:
        parts.append(tag("p", f"The first {MAX_LISTED} of {len(lost)}; all are in {LEDGER}.", class_="soft"))
    return join(parts)


def _flags(flags: Sequence[tuple[str, Any]]) -> Html:
    """How many views and objects each gate flagged, then the objects."""
    views: Counter[str] = Counter()
    objects: Counter[str] = Counter()
    for _, gates in flags:
        views.update({gate: len(names) for gate, names in gates.items()})
        objects.update(gates.keys())
    counts = [[gate, str(views[gate]), str(objects[gate])] for gate in sorted(views)]
    rows = [[uid, gate, " ".join(names)] for uid, gates in flags[:MAX_LISTED] for gate, names in sorted(gates.items())]
    return join([table(["gate", "views", "objects"], counts), table(["object", "gate", "views"], rows, class_="words")])


def _reason(row: Outcome) -> str:
    assert isinstance(row, Rejected | Failed)
    return row.reason if isinstance(row, Rejected) else row.error


def contact_sheets(views: Path, out: Path) -> Html:
    """The contact sheets of some rendered objects."""
    figures = []
    for path in sorted((views / "sheets").glob("*.png"))[:MAX_SHEETS]:
        write_bytes(out / "images" / f"sheet-{path.name}", smaller(path.read_bytes(), SHEET_WIDTH))
        picture = tag("img", src=f"images/sheet-{path.name}", alt=f"all views of {path.stem}", loading="lazy")
        figures.append(tag("figure", picture, tag("figcaption", path.stem)))
    return tag("div", *figures, class_="sheets")


def training_curves(inputs: ReportInputs) -> Html:
    """Loss over samples seen, one chart per training that kept a history."""
    charts = []
    for stage, folder in inputs.folders():
        curves = read_curves(folder / HISTORY) if stage in STAGE_NOTES else {}
        if curves:
            chart = curve_chart(curves, f"loss of {stage} over samples seen")
            marks = [part for index, name in enumerate(curves) for part in (tag("i", class_=f"c{index}"), name)]
            key = tag("p", *marks, class_="key")
            charts.append(tag("div", tag("h3", STAGE_NOTES[stage]), chart, key, class_="chart"))
    return tag("div", *charts, class_="charts")


def read_curves(path: Path) -> dict[str, list[Point]]:
    """The columns `loss` and `val_loss` of a history over `samples_seen`; nothing when there is no file."""
    if not path.exists():
        return {}
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    titles = {"loss": "training loss", "val_loss": "validation loss"}
    curves = {title: list(_points(rows, column)) for column, title in titles.items()}
    return {title: points for title, points in curves.items() if points}


def _points(rows: Sequence[Mapping[str, str]], column: str) -> Iterator[Point]:
    for row in rows:
        if row.get(column):
            yield float(row["samples_seen"]), float(row[column])


def settings(manifests: Mapping[str, Manifest]) -> Html:
    """Each stage's section of params.yaml as it was when the stage ran."""
    return join(
        fold(f"{stage}  {manifest.fingerprint[:8]}", tag("pre", json.dumps(manifest.config, indent=1, sort_keys=True)))
        for stage, manifest in manifests.items()
    )
