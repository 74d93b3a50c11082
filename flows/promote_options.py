"""The options of `python -m flows promote`; imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class PromoteOptions:
    """Which model, by which number; what is None is the profile's `promote`, or its defaults."""

    model: Annotated[
        Path, typer.Option(metavar="MODEL", help="The candidate: a stage's folder, or a version to go back to.")
    ] = Path("models_out/stage3")
    report: Annotated[Path, typer.Option(metavar="FOLDER", help="The report that evaluated it.")] = Path("reports")
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The registered model. Default: mvdpp.")] = None
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="What decides. Default: psnr.")] = None
    protocol: Annotated[str | None, typer.Option(help="sparse, ring or gso. Default: sparse.")] = None
    conditions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Views that the models are given. Default: 1.")
    ] = None
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Test objects. Default: held_out.")] = None
    margin: Annotated[
        float | None, typer.Option(min=0, metavar="X", help="By how much it must be better. Default: 0.1.")
    ] = None
    threshold: Annotated[
        float | None, typer.Option(metavar="X", help="What it must reach in any case. Default: nothing.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")] = False
    force: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote whatever was measured, and keep the reason.")
    ] = None
