"""The options of `python -m flows export`: parser and help in one place. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class ExportOptions:
    """What to export and how; the command line makes its parser from these fields."""

    views: Annotated[
        Path, typer.Argument(metavar="VIEWS", help="A view set, such as data/views or data/samples/stage3-sparse-1.")
    ]
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to make.")]
    layout: Annotated[
        str,
        typer.Option(metavar="LAYOUT", help="nerf, instantmesh, zero123, syncdreamer, webdataset or huggingface."),
    ] = "nerf"
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Only target, condition or ring views; default: all.")
    ] = None
    uid: Annotated[list[str] | None, typer.Option(metavar="UID", help="An object (again for more); default: all.")] = (
        None
    )
    objects: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The objects, such as data/objects, for their titles and licences."),
    ] = None
