"""The options of `python -m flows aesthetic-scores`: parser, help and bounds in one place. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class AestheticOptions:
    """Whose images to score with which networks; the command line makes its parser from these fields."""

    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="A view set such as data/views, or a catalog such as data/catalog (its thumbnails)."
        ),
    ]
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new table, .parquet, for catalog.scores.")]
    encoder: Annotated[
        str | None, typer.Option(metavar="MODEL", help="CLIP ViT-L/14: a folder, or owner/name@COMMIT at the hub.")
    ] = None
    head: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="LAION's aesthetic predictor: a file, or owner/name@COMMIT/file at the hub."),
    ] = None
    views: Annotated[
        int, typer.Option(min=1, max=32, metavar="N", help="Of a view set: how many target views of each object.")
    ] = 4
