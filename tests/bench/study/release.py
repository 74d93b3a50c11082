"""The model of a study's run as a folder to use and to publish: the pipeline, its card and its scores."""

import shutil
import tempfile
from pathlib import Path

from tasks.artifacts.atomic import atomic_folder
from tasks.evaluation.object_scores import ObjectScore
from tasks.evaluation.summary import summarize
from tasks.report.hub_results import BESIDE_CARD, FOLDER, write_hub_results
from tasks.training.stage import RAW
from tests.bench.study.results import Results, Run


def released_run(results: Results) -> Run:
    """The run to publish: the baseline's with the most samples, of its seeds the first."""
    return results.of(results.study.baseline, results.budgets[-1])[0]


def write_release(run: Run, out: Path) -> None:
    """Copy the pipeline of a run's last stage to `out`, without its newest weights, and put its scores beside the card.

    Raises ValueError when `out` exists.
    """
    if out.exists():
        raise ValueError(f"{out} exists; release into another folder, or delete it")
    stage = run.job.cell.stages[-1]
    rows = [ObjectScore(case, uid, group, metrics) for (case, group, uid), metrics in run.scores.items()]
    cases = sorted({row.case for row in rows}, key=lambda case: case.name)
    with atomic_folder(out) as part, tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(run.models[stage], part, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RAW))
        write_hub_results(cases, summarize(rows), run.job.cell.params.evaluate.benchmark, Path(scratch))
        (part / BESIDE_CARD).parent.mkdir()
        shutil.copy(Path(scratch) / FOLDER / f"{stage}.yaml", part / BESIDE_CARD)
