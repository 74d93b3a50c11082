"""The options of `python -m flows browse`. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class BrowseOptions:
    """Which data is shown and where; the command line makes its parser from these fields."""

    data: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder that the stages catalog to render write into.")
    ] = Path("data")
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to serve on; other machines reach any but 127.0.0.1.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port to serve on.")] = 7870
