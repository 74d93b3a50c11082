"""The report: one page that holds its pictures and meshes, so that it can be sent. Equal inputs give equal bytes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jinja2 import BaseLoader, Environment, PackageLoader

from render.images import decode_png
from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import Case
from tasks.artifacts.manifest import Manifest
from tasks.evaluation.object_scores import ObjectScore, Summary
from tasks.report.charts import psnr_chart
from tasks.report.curves import condition_curves
from tasks.report.data_checks import DataChecks, data_checks
from tasks.report.data_summary import DataSummary, summarise_data
from tasks.report.extremes import CaseExtremes, extremes
from tasks.report.gallery import Gallery, ShownObject
from tasks.report.inputs import ReportInputs
from tasks.report.ledger import MAX_LISTED, StageLedger, read_ledgers
from tasks.report.paper_tables import PaperTable, paper_tables
from tasks.report.pictures import ERROR_SCALE, Picture, chart, picture, shrink
from tasks.report.tables import ResultTable, all_groups, result_tables
from tasks.report.templating import escaping_environment
from tasks.report.training import training_charts
from tasks.report.verdicts import Verdict, verdicts
from tasks.report.viewer import three_js
from tasks.report.words import case_title, group_title, groups_title, is_model, method_title, protocol_title

PAGE = "index.html"
MAX_SHEETS, SHEET_WIDTH_PX = 6, 640
CONSTANTS = {"MAX_LISTED": MAX_LISTED, "ERROR_SCALE": ERROR_SCALE}
"""What the templates know besides the report."""
WORDS = (case_title, group_title, groups_title, method_title, protocol_title)
"""Filters of the templates."""


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    manifests: Mapping[str, Manifest]
    num_tested: int
    """Objects; one that two test sets have in different groups counts in each."""
    headline: Case
    """The case of the last training stage with the most given views."""
    headline_psnr: Mapping[str, float]
    """Its PSNR in dB per group of objects."""
    overview: Picture
    verdicts: tuple[Verdict, ...]
    paper_tables: tuple[PaperTable, ...]
    curves: tuple[tuple[str, Picture], ...]
    """(group of objects, curves over the number of given views)."""
    tables: tuple[ResultTable, ...]
    extremes: tuple[CaseExtremes, ...]
    objects: tuple[ShownObject, ...]
    trainings: tuple[tuple[str, Picture], ...]
    """(title, loss curves)."""
    data: DataSummary
    ledgers: tuple[StageLedger, ...]
    checks: DataChecks
    sheets: tuple[tuple[str, Picture], ...]
    """(object, contact sheet of its rendered views)."""


def write_report(
    inputs: ReportInputs, scores: Sequence[ObjectScore], cases: Sequence[Case], summary: Summary, out: Path
) -> None:
    """Write `out/index.html`, with the cases in their order; the inputs must be sealed, and there must be a score."""
    write_bytes(out / PAGE, render_page(make_report(inputs, scores, cases, summary)).encode())


def make_report(inputs: ReportInputs, scores: Sequence[ObjectScore], cases: Sequence[Case], summary: Summary) -> Report:
    """Gather what the page shows."""
    manifests = inputs.manifests()
    headline = headline_case(cases)
    groups = all_groups([headline], summary)
    curves = condition_curves(cases, summary)
    return Report(
        manifests=manifests,
        num_tested=len({(row.group, row.uid) for row in scores}),
        headline=headline,
        headline_psnr={group: summary[headline.name][group]["psnr"] for group in groups},
        overview=chart(psnr_chart(cases, summary), "PSNR of every case beside the baselines"),
        verdicts=tuple(verdicts(cases, summary)),
        paper_tables=tuple(paper_tables(cases, summary)),
        curves=tuple((group, chart(svg, f"Scores over given views, {groups_title(group)}")) for group, svg in curves),
        tables=tuple(result_tables(cases, summary)),
        extremes=tuple(extremes(inputs, scores, cases)),
        objects=tuple(Gallery(inputs, sorted(scores, key=lambda row: case_order(row.case))).draw()),
        trainings=tuple(training_charts(inputs)),
        data=summarise_data(manifests),
        ledgers=tuple(read_ledgers(inputs, manifests)),
        checks=data_checks(inputs, manifests),
        sheets=tuple(_sheet(path) for path in sorted((inputs.views / "sheets").glob("*.png"))[:MAX_SHEETS]),
    )


def case_order(case: Case) -> tuple[object, ...]:
    """Return the sort key by which cases are shown: sparse views first, models of this project first."""
    return case.protocol != "sparse", case.protocol, not is_model(case.method), case.method, case.conditions


def headline_case(cases: Sequence[Case]) -> Case:
    """Return the case that stands for the run: the last training stage, sparse views, most given."""
    return max(cases, key=lambda one: (is_model(one.method), one.protocol == "sparse", one.method, one.conditions))


def _sheet(path: Path) -> tuple[str, Picture]:
    content = shrink(decode_png(path.read_bytes()), SHEET_WIDTH_PX)
    return path.stem, picture(content, f"{path.stem}: all rendered views")


def render_page(report: Report) -> str:
    """Fill the templates of this package; the result is HTML."""
    page = open_templates(PackageLoader("tasks.report")).get_template("page.html.jinja")
    return page.render(report=report, three_js=three_js(), **CONSTANTS)


def open_templates(loader: BaseLoader) -> Environment:
    """Return what fills the report's templates: escaping, and with the report's words as filters."""
    environment = escaping_environment(loader)
    environment.filters |= {one.__name__: one for one in WORDS}
    environment.filters["as_json"] = partial(json.dumps, indent=1, sort_keys=True)
    return environment
