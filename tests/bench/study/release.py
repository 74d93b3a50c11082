"""The model of a study's run as a folder to use and to publish: the pipeline, its card and its scores."""

import tempfile
from pathlib import Path

from tasks.artifacts.model_folder import RAW
from tasks.commands.export_model import check_new, copy_with_scores
from tasks.evaluation.object_scores import ObjectScore
from tasks.evaluation.summary import summarize
from tasks.report.hub_results import FOLDER, write_hub_results
from tests.bench.study.results import Results, Run


def released_run(results: Results) -> Run | None:
    """The run to publish: the baseline's with the most samples, of its seeds the first; None while none is finished."""
    runs = [run for run in results.runs if run.job.cell.variant == results.study.baseline]
    return min(runs, key=lambda run: (-run.job.cell.samples, run.job.cell.seed), default=None)


def write_release(run: Run, out: Path) -> None:
    """Copy the pipeline of a run's last stage to `out`, without its newest weights, and put its scores beside the card.

    Raises ValueError when `out` exists.
    """
    check_new(out)
    stage = run.job.cell.stages[-1]
    rows = [ObjectScore(case, uid, group, metrics) for (case, group, uid), metrics in run.scores.items()]
    cases = sorted({row.case for row in rows}, key=lambda case: case.name)
    with tempfile.TemporaryDirectory() as scratch:
        write_hub_results(cases, summarize(rows), run.job.cell.params.evaluate.benchmark, Path(scratch))
        copy_with_scores(run.models[stage], Path(scratch) / FOLDER / f"{stage}.yaml", out, leave_out=[RAW])
