"""What the study found: tables of metrics and of paired differences, and a picture."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from render.images import contact_sheet, encode_png
from render.views import ViewKind
from tasks.artifacts.views import ViewSet
from tasks.report.pictures import shrink

WHOLE = "whole"
SHOWN = (("true", "test_views"), ("1 given", "samples/stage3-sparse-1"), ("8 given", "samples/stage3-sparse-8"))
"""Columns of the picture: label, and the view set below `data`."""
SIDE_PX, COLUMNS = 160, 8


def table(projects: Mapping[str, Path]) -> Iterator[str]:
    """Markdown: a row per model, case and group of objects; the baselines in the last columns."""
    yield "| model | case | objects | PSNR, dB | over white | over copy | SSIM | mask IoU |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for name, project in projects.items():
        metrics: dict[str, Any] = json.loads((project / "reports" / "metrics.json").read_bytes())
        for case, groups in metrics.items():
            for group, row in groups.items():
                numbers = [f"{row[key]:.2f}" for key in ("psnr", "psnr_over_white", "psnr_over_copy")]
                numbers += [f"{row[key]:.3f}" for key in ("ssim", "mask_iou")]
                yield f"| {name} | {case} | {group} | {' | '.join(numbers)} |"


def differences(projects: Mapping[str, Path]) -> Iterator[str]:
    """Markdown: PSNR of stage 3 on held-out objects, object by object, minus that of something less."""
    scores = {name: held_out_scores(project) for name, project in projects.items()}
    whole = scores[WHOLE]
    cases = sorted(case for case in whole if case.startswith("stage3"))
    first = cases[0]
    pairs = [(f"{case} - {first}", whole[case], whole[first]) for case in cases[1:]]
    pairs += [
        (f"{case}: {WHOLE} - {name}", whole[case], other[case])
        for name, other in scores.items()
        if name != WHOLE
        for case in cases
    ]
    yield "| PSNR, held out | difference, dB | standard error | objects better |"
    yield "| --- | --- | --- | --- |"
    for label, more, less in pairs:
        gains = [more[uid] - less[uid] for uid in more]
        error = stdev(gains) / len(gains) ** 0.5
        yield f"| {label} | {mean(gains):+.2f} | {error:.2f} | {sum(gain > 0 for gain in gains)} of {len(gains)} |"


def held_out_scores(project: Path) -> dict[str, dict[str, float]]:
    """PSNR by case and object."""
    scores: dict[str, dict[str, float]] = {}
    with (project / "reports" / "plots" / "objects.csv").open() as handle:
        for row in csv.DictReader(handle):
            if row["group"] == "held_out":
                scores.setdefault(row["case"], {})[row["uid"]] = float(row["psnr"])
    return scores


def write_picture(projects: Mapping[str, Path], path: Path) -> None:
    """All 32 views of a held-out object of each family: true, drawn from one and from eight given views by the whole
    model, and from eight by the others."""
    uids = sorted(next(iter(held_out_scores(projects[WHOLE]).values())), reverse=True)
    chosen = sorted({uid.split("-")[0]: uid for uid in uids}.values())
    columns = [(WHOLE, label, views) for label, views in SHOWN]
    columns += [(name, f"8 given, {name}", SHOWN[-1][1]) for name in projects if name != WHOLE]
    images, labels = [], []
    for uid in chosen:
        for name, label, folder in columns:
            views = ViewSet.open(projects[name] / "data" / folder)
            targets = [shrink(image, SIDE_PX) for image in views.images(uid, views.names(uid, ViewKind.TARGET))]
            images.append(contact_sheet(targets, COLUMNS, background="white"))
            labels.append(f"{uid}: {label}")
    path.write_bytes(encode_png(contact_sheet(images, len(columns), labels=labels)))
