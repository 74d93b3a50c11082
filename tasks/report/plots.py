"""Curves as tables for DVC: a file per method, so that `dvc plots show` draws the methods in one chart."""

from collections.abc import Sequence
from pathlib import Path

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.evaluation.summary import ERROR, as_csv, case_rows
from tasks.report.paper_tables import likest_group
from tasks.report.words import METRICS

FOLDER = "plots/curves"


def write_curves(cases: Sequence[Case], summary: Summary, out: Path) -> None:
    """Write `out/plots/curves/<method>.csv`: means over given sparse views, on the objects likest to the paper's.

    Columns are conditions, group, the metrics and their standard errors; blank where a case lacks one.
    """
    sparse = [case for case in cases if case.protocol == "sparse"]
    group = likest_group(sparse, summary)
    columns = ["conditions", "group", *(name for metric in METRICS for name in (metric, f"{metric}{ERROR}"))]
    for method in sorted({case.method for case in sparse if group in summary[case.name]}):
        rows = [
            {name: value for name, value in row.items() if name in columns}
            for case in sorted((one for one in sparse if one.method == method), key=lambda one: one.conditions)
            for row in case_rows([case], summary)
            if row["group"] == group
        ]
        write_bytes(out / FOLDER / f"{method}.csv", as_csv(rows, columns))
