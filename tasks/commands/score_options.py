"""The options of `python -m flows score`: parser, help and bounds in one place. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

AXES = "X, Y, Z, -X, -Y or -Z"


@dataclass(frozen=True)
class ScoreOptions:
    """Whose predictions to score; the command line makes its parser from these fields."""

    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the predictions lie.")]
    layout: Annotated[str, typer.Option(metavar="LAYOUT", help="How they lie there: a row of docs/evaluation.md.")]
    name: Annotated[
        str | None, typer.Option(metavar="ROW", help="Name of the row in the tables; default: the layout's.")
    ] = None
    set: Annotated[str, typer.Option(metavar="SET", help="Test set and protocol: gso, sparse or ring.")] = "gso"
    conditions: Annotated[int, typer.Option(min=1, metavar="N", help="How many views the system was given.")] = 1
    sample: Annotated[
        int, typer.Option(min=0, metavar="S", help="Which sample of each object, where a layout has several.")
    ] = 0
    meshes: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the system's meshes lie, for a layout of views.")
    ] = None
    mesh_layout: Annotated[str, typer.Option(metavar="LAYOUT", help="How the meshes of --meshes lie there.")] = "mesh"
    up: Annotated[str | None, typer.Option(metavar="AXIS", help=f"Axis of the meshes that points up: {AXES}.")] = None
    front: Annotated[
        str | None, typer.Option(metavar="AXIS", help="Axis of the meshes that points to the given view's camera.")
    ] = None
    scale: Annotated[
        str | None, typer.Option(metavar="SCALE", help="as-is, or longest: the meshes' longest side becomes 1.")
    ] = None
    partial: Annotated[
        bool, typer.Option("--partial", help="Score the objects that are there; default: all must be.")
    ] = False
