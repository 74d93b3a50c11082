"""Stage evaluate: scores of the sampled views and meshes, as tables for DVC and as a page to read (sec. 5.2, 5.3)."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.artifacts.atomic import write_bytes, write_json
from tasks.artifacts.cases import Case, sampled_cases
from tasks.artifacts.manifest import MANIFEST, METRICS, Kind, check_failed_share, open_manifest, read_ledger, seal
from tasks.artifacts.views import ViewSet
from tasks.config import EvaluateConfig
from tasks.evaluation.object_scores import ObjectScore, ScoreJob, Summary, score_object
from tasks.outcome import Done, Outcome
from tasks.ports import Tools, collect
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
    rows = evaluate_samples(inputs.samples, inputs.meshes, inputs.test_views, config, seed, out, tools)
    write_results(inputs, rows, summarize(rows), config.benchmark, out, tools.tracker)
    tools.tracker.artifact(out, "report")
    fingerprints = {stage: manifest.fingerprint for stage, manifest in manifests.items()}
    seal(out, Kind.REPORT, config=config, inputs=fingerprints)


def evaluate_samples(
    samples: Path, meshes: Path, test_views: Path, config: EvaluateConfig, seed: int, out: Path, tools: Tools
) -> list[ObjectScore]:
    """Score every object in every case and write the tables; any failure stops the stage."""
    jobs = _list_jobs(samples, meshes, test_views, config, seed, tools)
    outcomes = collect(tools.pool, tools.progress, "evaluate", score_object, jobs)
    check_failed_share("evaluate", outcomes, 0.0)
    case_named = {case.name: case for job in jobs for case in job.cases}
    rows = [row for outcome in outcomes for row in _read_scores(outcome, case_named)]
    summary = summarize(rows)
    write_json(out / METRICS, summary)
    write_bytes(out / "plots" / "objects.csv", _object_table(rows))
    write_bytes(out / "plots" / "cases.csv", _case_table(summary, case_named))
    for case, groups in summary.items():
        for group, metrics in groups.items():
            tools.tracker.metrics({f"{case}/{group}/{name}": value for name, value in metrics.items()})
    return rows


def _read_scores(outcome: Outcome, cases: Mapping[str, Case]) -> Iterator[ObjectScore]:
    assert isinstance(outcome, Done), "a failure has stopped the stage before"
    scores: Any = outcome.facts["cases"]
    for name, metrics in scores.items():
        yield ObjectScore(cases[name], outcome.uid, str(outcome.facts["group"]), metrics)


def _list_jobs(
    samples: Path, meshes: Path, test_views: Path, config: EvaluateConfig, seed: int, tools: Tools
) -> list[ScoreJob]:
    """Make one job per test object that any case sampled."""
    cases = {case: set(ViewSet.open(samples / case.name).uids) for case in sampled_cases(samples)}
    open_manifest(meshes, Kind.MESHES)
    meshed = {row.uid for row in read_ledger(meshes) if isinstance(row, Done)}
    truth = ViewSet.open(test_views)
    threads = max(1, tools.threads // tools.pool.num_workers)
    return [
        ScoreJob(
            uid=uid,
            group=str(truth.facts[uid]["group"]),
            cases=tuple(case for case, uids in cases.items() if uid in uids),
            meshed=frozenset(case.name for case in cases if f"{case.name}/{uid}" in meshed),
            test_views=test_views,
            samples=samples,
            meshes=meshes,
            config=config,
            seed=seed,
            threads=threads,
            device=tools.worker_device,
        )
        for uid in truth.uids
        if any(uid in uids for uids in cases.values())
    ]


def summarize(rows: Sequence[ObjectScore]) -> Summary:
    """Average over the objects of each case and group; `objects` and `meshes` count what each mean is over."""
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for case, group in sorted({(row.case.name, row.group) for row in rows}):
        members = [row.metrics for row in rows if (row.case.name, row.group) == (case, group)]
        names = sorted({name for metrics in members for name in metrics})
        means = {name: float(np.mean([one[name] for one in members if name in one])) for name in names}
        counts = {"objects": len(members), "meshes": sum("chamfer" in metrics for metrics in members)}
        summary.setdefault(case, {})[group] = means | counts
    return summary


def _case_table(summary: Summary, cases: dict[str, Case]) -> bytes:
    rows = [
        {"case": name, "method": case.method, "protocol": case.protocol, "conditions": case.conditions, "group": group}
        | dict(metrics)
        for name, case in cases.items()
        for group, metrics in summary[name].items()
    ]
    return _as_csv(rows, ("case", "method", "protocol", "conditions", "group", "objects", "meshes"))


def _object_table(rows: Sequence[ObjectScore]) -> bytes:
    table = [{"case": row.case.name, "uid": row.uid, "group": row.group, **row.metrics} for row in rows]
    return _as_csv(table, ("case", "uid", "group"))


def _as_csv(rows: Sequence[Mapping[str, object]], first: tuple[str, ...]) -> bytes:
    """Write a table with the columns `first`, then all others by name; blank where a row lacks a value."""
    columns = [*first, *sorted({name for row in rows for name in row} - set(first))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(_rounded(row) for row in rows)
    return text.getvalue().encode()


def _rounded(row: Mapping[str, object]) -> dict[str, object]:
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
