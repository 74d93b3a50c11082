"""The options of `python -m flows score-model`: parser, help and bounds in one place. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from tasks.commands.sample_options import MODEL_HELP


@dataclass(frozen=True)
class ScoreModelOptions:
    """Which model to score, and by which protocols; the command line makes its parser from these fields."""

    model: Annotated[Path, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
    name: Annotated[
        str | None, typer.Option(metavar="ROW", help="Name of the row in the tables; default: the model's.")
    ] = None
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SET", help="gso, sparse or ring; again for more. Default: sample.protocols that have test sets."
        ),
    ] = None
    conditions: Annotated[
        list[int] | None,
        typer.Option(
            min=1, metavar="N", help="Views that the model is given in the set sparse. Default: sample.conditions."
        ),
    ] = None
