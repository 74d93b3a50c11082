"""The options of `python -m flows look`: parser, help and bounds in one place. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class LookOptions:
    """Which folder to look at and where to put the sheet; the command line makes its parser from these fields."""

    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the objects lie, as catalog.folder.")]
    up_axis: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS", help="X, Y, Z, -X, -Y or -Z points up; default: catalog.up_axis, or the formats'."
        ),
    ] = None
    out: Annotated[Path, typer.Option(metavar="FILE", help="The PNG file to write.")] = Path("look.png")
    num: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How many objects to show at most.")] = 8
    uid: Annotated[
        list[str] | None, typer.Option(metavar="UID", help="An object to show (again for more); default: any N.")
    ] = None
