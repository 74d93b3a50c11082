"""The options of `python -m flows page`. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class PageOptions:
    """What the page shows first, and where it is served; the command line makes its parser from these fields."""

    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model that is chosen first. Default: the newest in models_out."),
    ] = None
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to serve on; other machines reach any but 127.0.0.1.")
    ] = LOOPBACK
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port to serve on.")] = 7860
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="Default: the GPU if there is one.")] = None
    waiting: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Visitors who may wait for their views; more are refused.")
    ] = 16
