"""Everything that a report is: the page, tables for DVC, results for model hubs, a comparison in the tracking store."""

from collections.abc import Sequence
from pathlib import Path

from tasks.evaluation.object_scores import ObjectScore, Summary
from tasks.ports import Tracker
from tasks.report.comparison import log_comparison
from tasks.report.hub_results import write_hub_results
from tasks.report.inputs import ReportInputs
from tasks.report.page import case_order, write_report
from tasks.report.plots import write_curves


def write_results(
    inputs: ReportInputs, rows: Sequence[ObjectScore], summary: Summary, benchmark: str, out: Path, tracker: Tracker
) -> None:
    """Write the page, `plots/curves/*.csv` and `eval_results/*.yaml` into `out`, and log the comparison of methods.

    Args:
        inputs: Every sealed folder of the run.
        rows: Scores of every object in every case, at least one.
        summary: Their means.
        benchmark: Id of the data set on the hub that results are filed under.
        out: The folder of the report.
        tracker: Of the stage.
    """
    cases = sorted({row.case for row in rows}, key=case_order)
    write_report(inputs, rows, cases, summary, out)
    write_curves(cases, summary, out)
    write_hub_results(cases, summary, benchmark, out)
    log_comparison(tracker, inputs, rows, summary)
