"""The study as one page that holds its curves and pictures, and its tables as Markdown for the docs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import ChoiceLoader, PackageLoader

from tasks.artifacts.atomic import write_bytes
from tasks.outcome import Failed
from tasks.report.page import open_templates
from tasks.report.pictures import chart
from tests.bench.study.charts import study_charts
from tests.bench.study.pictures import drawn_views
from tests.bench.study.results import Results
from tests.bench.study.tables import all_tables, uses_gpu

PAGE, MARKDOWN = "index.html", "tables.md"


@dataclass(frozen=True)
class Progress:
    """How far the study is."""

    planned: int
    failed: Sequence[Failed]


def write_study(results: Results, progress: Progress, folder: Path) -> None:
    """Write `folder/index.html` and `folder/tables.md`; there must be a finished run."""
    tables = all_tables(results)
    write_bytes(folder / MARKDOWN, "\n\n".join("\n".join(table.markdown()) for table in tables).encode() + b"\n")
    group = results.main_group
    charts = [(title, chart(svg, title)) for title, svg in study_charts(results, group)]
    environment = open_templates(ChoiceLoader([PackageLoader("tests.bench.study"), PackageLoader("tasks.report")]))
    page = environment.get_template("study.html.jinja").render(
        study=results.study,
        results=results,
        progress=progress,
        tables=tables,
        charts=charts,
        group=group,
        pictures=drawn_views(results),
        device="GPU" if uses_gpu(results) else "CPU",
    )
    write_bytes(folder / PAGE, page.encode())
