"""Scores of a training stage as model hubs read them: `.eval_results/*.yaml` beside the model's card.

The format is that of the Hub's documentation (docs/hub/eval-results), written by its own library.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.constants import EVAL_RESULTS_FOLDER

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.evaluation.summary import ERROR, num_objects
from tasks.report.words import METRICS, is_model

FOLDER = "eval_results"
"""Folder of the report with a file per model."""
BESIDE_CARD = f"{EVAL_RESULTS_FOLDER}/mvdiffusion-pp.yaml"
"""Where a published model's folder has its file."""


def write_hub_results(cases: Sequence[Case], summary: Summary, benchmark: str, out: Path) -> None:
    """Write `out/eval_results/<model>.yaml` for every model of this project among the cases.

    Args:
        cases: Of them, those of this project's models.
        summary: Their scores.
        benchmark: Id of the data set on the hub that the results are filed under, owner/name.
        out: The folder of the report.
    """
    for stage in sorted({case.method for case in cases if is_model(case.method)}):
        entries = [one for case in cases if case.method == stage for one in _entries(case, summary, benchmark)]
        content = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
        write_bytes(out / FOLDER / f"{stage}.yaml", content.encode())


def _entries(case: Case, summary: Summary, benchmark: str) -> Iterator[EvalResultEntry]:
    """Yield a result per group of objects and metric; a task is named like sparse_held_out_4_psnr."""
    for group, metrics in summary[case.name].items():
        for name in METRICS:
            if name in metrics:
                task = f"{case.protocol}_{group}_{case.conditions}_{name}"
                given = f"{case.conditions} given, protocol {case.protocol}"
                error = metrics.get(f"{name}{ERROR}")
                spread = "" if error is None else f", standard error {error:.2g}"
                notes = f"mean over {num_objects(metrics, name)} {group} objects{spread}; {given}"
                yield EvalResultEntry(benchmark, task, float(f"{metrics[name]:.6g}"), notes=notes)
