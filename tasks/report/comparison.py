"""The evaluation as a comparison in the tracking store: a run of every method with metrics of the same names."""

from collections.abc import Sequence

from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import ObjectScore, Summary
from tasks.evaluation.summary import case_rows, object_rows
from tasks.ports import Tracker
from tasks.report.inputs import ReportInputs
from tasks.report.words import is_model, is_stage

CONTEXT = "evaluation"


def log_comparison(tracker: Tracker, inputs: ReportInputs, rows: Sequence[ObjectScore], summary: Summary) -> None:
    """Log the scores into the run of the evaluation, and below it one run per method.

    Each method's run has the metrics `<protocol>/<group>/<metric>`, with the number of given views as the step, so that
    runs side by side show curves over it. The test sets are inputs of every run, by their fingerprint. The run itself
    has the tables `cases` and `objects`.
    """
    cases = list(dict.fromkeys(row.case for row in rows))
    tracker.table(list(case_rows(cases, summary)), "tables/cases")
    tracker.table(list(object_rows(rows)), "tables/objects")
    _log_test_sets(tracker, inputs, cases)
    for method in dict.fromkeys(case.method for case in cases):
        kind = "training stage" if is_stage(method) else "distilled" if is_model(method) else "baseline or peer"
        mine = [case for case in cases if case.method == method]
        with tracker.part(method, {"method": method, "kind": kind}) as part:
            _log_test_sets(part, inputs, mine)
            for case in mine:
                for group, metrics in summary[case.name].items():
                    part.metrics(
                        {f"{case.protocol}/{group}/{name}": value for name, value in metrics.items()}, case.conditions
                    )


def _log_test_sets(tracker: Tracker, inputs: ReportInputs, cases: Sequence[Case]) -> None:
    for name in sorted({case.test_set for case in cases}):
        folder = inputs.test_sets[name]
        tracker.dataset(folder, name, inputs.view_set(folder).manifest.fingerprint, CONTEXT)
