"""The report: one page with pictures beside it that opens from disk. Equal inputs give equal bytes."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import LEDGER, Manifest
from tasks.artifacts.views import ViewSet
from tasks.evaluation.object_scores import ObjectScore, Summary
from tasks.report.charts import psnr_chart
from tasks.report.gallery import MAX_OBJECTS, Gallery, ShownObject
from tasks.report.inputs import ReportInputs
from tasks.report.ledger import StageLedger, read_ledgers
from tasks.report.pictures import IMAGES, Picture, save_picture, thumbnail
from tasks.report.tables import ResultTable, all_groups, result_tables
from tasks.report.training import training_charts
from tasks.report.verdicts import Verdict, verdicts
from tasks.report.words import case_title, group_title, groups_title, protocol_title

PAGE = "index.html"
MAX_SHEETS, SHEET_WIDTH_PX = 6, 640
CONSTANTS = {"MAX_OBJECTS": MAX_OBJECTS, "MAX_LISTED": 200, "LEDGER": LEDGER, "IMAGES": IMAGES}
"""What the templates know besides the report; MAX_LISTED bounds the objects listed by name, per stage."""


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    manifests: Mapping[str, Manifest]
    num_tested: int
    headline: Case
    """The case of the last stage with the most given views."""
    headline_psnr: Mapping[str, float]
    """Its PSNR in dB per group of objects."""
    overview: Picture
    verdicts: tuple[Verdict, ...]
    tables: tuple[ResultTable, ...]
    objects: tuple[ShownObject, ...]
    trainings: tuple[tuple[str, Picture], ...]
    """(title, loss curves)."""
    ledgers: tuple[StageLedger, ...]
    sheets: tuple[tuple[str, Picture], ...]
    """(object, contact sheet of its rendered views)."""


def write_report(inputs: ReportInputs, scores: Sequence[ObjectScore], summary: Summary, out: Path) -> None:
    """Write `out/index.html` and `out/images/`; the inputs must be sealed, and there must be at least one score."""
    shutil.rmtree(out / IMAGES, ignore_errors=True)
    write_bytes(out / PAGE, render_page(make_report(inputs, scores, summary, out)).encode())


def make_report(inputs: ReportInputs, scores: Sequence[ObjectScore], summary: Summary, out: Path) -> Report:
    """Gather what the page shows, and write its pictures into `out/images/`."""
    manifests = inputs.manifests()
    cases = sorted({row.case for row in scores}, key=lambda one: (one.protocol != "sparse", one.method, one.conditions))
    headline = [case for case in cases if case.protocol == "sparse"][-1]
    groups = all_groups([headline], summary)
    return Report(
        manifests=manifests,
        num_tested=len({row.uid for row in scores}),
        headline=headline,
        headline_psnr={group: summary[headline.name][group]["psnr"] for group in groups},
        overview=save_picture(out, "psnr.svg", psnr_chart(cases, summary), "PSNR of every case beside the baselines"),
        verdicts=tuple(verdicts(cases, summary)),
        tables=tuple(result_tables(cases, summary)),
        objects=tuple(Gallery(inputs, ViewSet.open(inputs.test_views), out).draw(scores)),
        trainings=tuple(training_charts(inputs, out)),
        ledgers=tuple(read_ledgers(inputs, manifests)),
        sheets=tuple(_save_sheet(path, out) for path in sorted((inputs.views / "sheets").glob("*.png"))[:MAX_SHEETS]),
    )


def _save_sheet(path: Path, out: Path) -> tuple[str, Picture]:
    content = thumbnail(path.read_bytes(), SHEET_WIDTH_PX)
    return path.stem, save_picture(out, f"sheet-{path.name}", content, f"{path.stem}: all rendered views")


def render_page(report: Report) -> str:
    """Fill the templates of this package; the result is HTML."""
    environment = Environment(
        loader=PackageLoader("tasks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {one.__name__: one for one in (case_title, group_title, groups_title, protocol_title)}
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=1, sort_keys=True)
    return environment.get_template("page.html.jinja").render(report=report, **CONSTANTS)
