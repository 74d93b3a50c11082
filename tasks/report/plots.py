"""Curves as tables for DVC: a file per method, so that `dvc plots show` draws the methods in one chart."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.cases import Case
from tasks.evaluation.object_scores import Summary
from tasks.report.paper_tables import likest_group

FOLDER = "plots/curves"
METRICS = ("psnr", "ssim", "lpips", "mask_iou", "chamfer", "volume_iou", "f_score")


def write_curves(cases: Sequence[Case], summary: Summary, out: Path) -> None:
    """Write `out/plots/curves/<method>.csv`: means over given sparse views, on the objects likest to the paper's.

    Columns are conditions, group, the metrics and their standard errors; blank where a case lacks one.
    """
    sparse = [case for case in cases if case.protocol == "sparse"]
    group = likest_group(sparse, summary)
    columns = ["conditions", "group", *(name for metric in METRICS for name in (metric, f"{metric}_se"))]
    for method in sorted({case.method for case in sparse if group in summary[case.name]}):
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n", restval="", extrasaction="ignore")
        writer.writeheader()
        for case in sorted((one for one in sparse if one.method == method), key=lambda one: one.conditions):
            if metrics := summary[case.name].get(str(group)):
                numbers = {name: f"{value:.6g}" for name, value in metrics.items()}
                writer.writerow({"conditions": case.conditions, "group": group, **numbers})
        write_bytes(out / FOLDER / f"{method}.csv", text.getvalue().encode())
