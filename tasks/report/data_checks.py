"""What was expected of the views and latents, and whether it held."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from render.images import decode_png
from tasks.artifacts.manifest import Manifest
from tasks.report.charts import histograms
from tasks.report.inputs import ReportInputs
from tasks.report.pictures import Picture, chart, picture
from tasks.validation.appearance import Appearance
from tasks.validation.folder import APPEARANCE, LOOKALIKES


@dataclass(frozen=True)
class DataCheck:
    """One expectation, in words."""

    name: str
    says: str
    found: str
    bound: str
    state: str
    """held, did not hold."""
    examples: tuple[str, ...]


@dataclass(frozen=True)
class DataChecks:
    """The expectations, and what was measured."""

    checks: tuple[DataCheck, ...]
    distributions: Picture
    """Histograms of coverage and brightness."""
    lookalikes: Picture | None
    latents: tuple[tuple[str, str, str], ...]
    """(channel, mean, deviation) of the scaled latents; empty where they were not measured."""


def data_checks(inputs: ReportInputs, manifests: Mapping[str, Manifest]) -> DataChecks:
    """Read what the stages validate-views and encode have measured; manifests by stage."""
    appearance = Appearance.load(inputs.validation / APPEARANCE)
    sheet = inputs.validation / LOOKALIKES
    svg = histograms({"coverage": appearance.coverage, "brightness": appearance.brightness}, "objects")
    return DataChecks(
        checks=tuple(_check(row) for row in manifests["validate-views"].facts["expectations"]),
        distributions=chart(svg, "Coverage and brightness of the objects"),
        lookalikes=picture(decode_png(sheet.read_bytes()), "Pairs of look-alikes") if sheet.exists() else None,
        latents=tuple(_channels(manifests["encode"].facts.get("scaled_latents", {}))),
    )


def _check(row: Mapping[str, Any]) -> DataCheck:
    return DataCheck(
        name=row["name"],
        says=row["says"],
        found=f"{row['failed']:,} of {row['objects']:,} ({row['share']:.1%})",
        bound=f"{row['max_share']:.1%}",
        state="held" if row["passed"] else "did not hold",
        examples=tuple(row["examples"]),
    )


def _channels(statistics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    pairs = zip(statistics.get("means_C", ()), statistics.get("deviations_C", ()), strict=True)
    return [(str(number), f"{mean:.2f}", f"{deviation:.2f}") for number, (mean, deviation) in enumerate(pairs)]
