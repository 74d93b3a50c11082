"""The report: one page with pictures beside it, readable without a server. Equal inputs give equal bytes."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.artifacts.atomic import write_bytes
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.views import ViewSet
from tasks.evaluation.object_scores import Case, ObjectScore
from tasks.report.data import contact_sheets, funnel, settings, training_curves
from tasks.report.gallery import MAX_OBJECTS, Gallery
from tasks.report.html import Html, join, page, section, tag
from tasks.report.inputs import ReportInputs
from tasks.report.tables import Summary, overview, paper_tables, result_tables, verdict_table, verdicts
from tasks.report.words import case_title, groups_title

PAGE = "index.html"
TITLE = "MVDiffusion++ run report"
LINKS = ("results", "samples", "training", "data", "settings", "paper")


def write_report(inputs: ReportInputs, rows: Sequence[ObjectScore], summary: Summary, out: Path) -> None:
    """Write `out/index.html` and `out/images/`; the inputs must be sealed, and there must be at least one row."""
    manifests = inputs.manifests()
    shutil.rmtree(out / "images", ignore_errors=True)
    cases = sorted(
        dict.fromkeys(row.case for row in rows),
        key=lambda case: (case.protocol != "sparse", case.stage, case.conditions),
    )
    sections = [*_result_sections(inputs, rows, cases, summary, out), *_run_sections(inputs, manifests, out)]
    nav = tag("nav", *(tag("a", name, href=f"#{name}") for name in LINKS))
    header = tag("header", *_header(manifests, rows, cases, summary), nav)
    write_bytes(out / PAGE, page(TITLE, header, tag("main", *sections), tag("footer", _footer(manifests))).encode())


def _header(
    manifests: Mapping[str, Manifest], rows: Sequence[ObjectScore], cases: Sequence[Case], summary: Summary
) -> list[Html]:
    render, sample = manifests["render"], manifests["sample"].config
    side = render.config["resolution"]
    targets = render.config["azimuths"] * len(render.config["elevations_deg"])
    checks = verdicts(cases, summary)
    case = max((case for case in cases if case.protocol == "sparse"), key=lambda case: (case.stage, case.conditions))
    lead = (
        f"{targets} views of {side} x {side} pixels from one or a few images of an object, sampled with "
        f"{sample['steps']} {sample['scheduler'].upper()} steps and scored against true views and meshes."
    )
    cards = [
        (str(render.counts["done"]), "objects rendered"),
        (str(len({row.uid for row in rows})), "objects tested"),
        (f"{sum(check.holds for check in checks)} of {len(checks)}", "checks passed"),
    ]
    for group, metrics in sorted(summary[case.name].items(), key=lambda item: item[0] != "train"):
        cards.append((f"{metrics['psnr']:.1f} dB", f"PSNR on {groups_title(group)}; {case_title(case)}"))
    return [
        tag("p", "MVDiffusion++ (arXiv 2402.12712)", class_="eyebrow"),
        tag("h1", "What the trained model makes of its test objects"),
        tag("p", lead, class_="lead"),
        tag(
            "div",
            *(tag("div", tag("b", number), tag("span", text), class_="card") for number, text in cards),
            class_="cards",
        ),
    ]


def _result_sections(
    inputs: ReportInputs, rows: Sequence[ObjectScore], cases: Sequence[Case], summary: Summary, out: Path
) -> list[Html]:
    gallery = Gallery(inputs, ViewSet.open(inputs.test_views), out)
    return [
        section(
            "results",
            "Results",
            "Means per object, then over objects. A model that learned anything beats both floors: an all-white "
            "picture, and the first given view shown in every direction. Held-out objects were never trained on.",
            overview(cases, summary),
            verdict_table(verdicts(cases, summary)),
            result_tables(cases, summary),
        ),
        section(
            "samples",
            "Samples and meshes",
            "One row of views per case; a click shows all. Meshes are rebuilt from the sampled views alone: in "
            f"colour, then as clay from two sides. At most {MAX_OBJECTS} objects are shown.",
            gallery.draw(rows),
        ),
    ]


def _run_sections(inputs: ReportInputs, manifests: Mapping[str, Manifest], out: Path) -> list[Html]:
    return [
        section(
            "training",
            "Training",
            "Loss over samples seen. The mask-aware VAE first, then the three diffusion stages (ε- and v-prediction), "
            "each from the weights of the one before.",
            training_curves(inputs),
        ),
        section(
            "data",
            "Data",
            "What became of every object on its way to the trained model.",
            funnel(inputs, manifests),
            tag("h3", "Some rendered objects: targets by elevation, then condition views"),
            contact_sheets(inputs.views, out),
        ),
        section(
            "settings",
            "Settings",
            "What each stage was made with, and the start of its fingerprint.",
            settings(manifests),
        ),
        section(
            "paper",
            "The paper's numbers",
            "Tables 1 and 2 of the paper, in part. They are not comparable with a small run: other objects, 256 to 512 "
            "pixels, pretrained weights, and about a thousand times more training.",
            paper_tables(),
        ),
    ]


def _footer(manifests: Mapping[str, Manifest]) -> Html:
    samples = manifests["sample"].fingerprint
    return join(
        [
            f"Samples {samples[:8]}. The same numbers: ",
            tag("code", "metrics.json"),
            " and ",
            tag("code", "plots/*.csv"),
            ".",
        ]
    )
