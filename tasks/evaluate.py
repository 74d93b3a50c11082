"""Stage evaluate: scores of the sampled views and meshes, as tables for DVC and as a page to read (sec. 5.2, 5.3)."""

from collections.abc import Sequence
from pathlib import Path

from tasks.artifacts.atomic import write_bytes, write_json
from tasks.artifacts.manifest import MANIFEST, METRICS, Kind, open_manifest, seal
from tasks.config import EvaluateConfig
from tasks.evaluation.object_scores import ObjectScore, Summary, check_networks
from tasks.evaluation.predictions import Predictions, Scoring, score_predictions
from tasks.evaluation.summary import case_table, object_table, summarize
from tasks.peers.store import current_peers
from tasks.ports import Tools
from tasks.report.inputs import ReportInputs as ReportInputs
from tasks.report.results import write_results


def evaluate(inputs: ReportInputs, config: EvaluateConfig, seed: int, out: Path, tools: Tools) -> None:
    """Score everything, then write `metrics.json`, `plots/` and the report (tasks/report/results.py) into `out`.

    Args:
        inputs: Every sealed folder of the run.
        config: The section `evaluate`.
        seed: For the points that are sampled on surfaces.
        out: Becomes the sealed report.
        tools: Of the stage.

    Raises ValueError for a folder that is not sealed, RuntimeError when an object cannot be scored.
    """
    manifests = inputs.manifests()
    (out / MANIFEST).unlink(missing_ok=True)
    rows = score(inputs, config, seed, tools)
    summary = summarize(rows)
    write_tables(rows, summary, out)
    for case, groups in summary.items():
        for group, metrics in groups.items():
            tools.tracker.metrics({f"{case}/{group}/{name}": value for name, value in metrics.items()})
    write_results(inputs, rows, summary, config.benchmark, out, tools.tracker)
    tools.tracker.artifact(out, "report")
    fingerprints = {stage: manifest.fingerprint for stage, manifest in manifests.items()}
    seal(out, Kind.REPORT, config=config, inputs=fingerprints)


def score(inputs: ReportInputs, config: EvaluateConfig, seed: int, tools: Tools) -> list[ObjectScore]:
    """Score every object in every case; any failure stops the stage."""
    check_networks(config, tools.progress.note)
    scoring = Scoring(inputs.test_sets, config, seed, tools.worker_threads, tools.worker_device)
    ours = [Predictions(inputs.samples, inputs.meshes), Predictions.below(inputs.baselines)]
    return score_predictions([*ours, *_of_peers(scoring, tools)], scoring, tools.pool, tools.progress)


def _of_peers(scoring: Scoring, tools: Tools) -> list[Predictions]:
    """What other systems predict for the test sets as they are now."""
    truths = {name: open_manifest(folder, Kind.VIEWS).fingerprint for name, folder in scoring.test_sets.items()}
    peers = current_peers(Path(scoring.config.peers), truths, tools.progress.note)
    return [Predictions.below(folder) for folder in peers]


def write_tables(rows: Sequence[ObjectScore], summary: Summary, out: Path) -> None:
    """Write `metrics.json`, `plots/objects.csv` and `plots/cases.csv`."""
    cases = dict.fromkeys(row.case for row in rows)
    write_json(out / METRICS, summary)
    write_bytes(out / "plots" / "objects.csv", object_table(rows))
    write_bytes(out / "plots" / "cases.csv", case_table(cases, summary))
