"""The options of `python -m flows serve-model`. Imports nothing heavy."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from models.network.scheduler_names import SchedulerName
from tasks.commands.sample_options import MODEL_HELP


@dataclass(frozen=True)
class ServiceOptions:
    """What is served, and how much at once; the command line makes its parser from these fields."""

    model: Annotated[str, typer.Option(metavar="MODEL", help=MODEL_HELP)]
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to serve on; other machines reach any but 127.0.0.1.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port to serve on.")] = 7880
    replicas: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Copies of the model, each on a card of its own.")
    ] = 1
    batch: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Objects that are sampled together, at most.")
    ] = 4
    batch_wait: Annotated[
        float, typer.Option(min=0, max=60, metavar="SECONDS", help="How long a request waits for others to join it.")
    ] = 0.1
    unfinished: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Requests that are taken and not done, at most.")
    ] = 32
    finishers: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Processes that make meshes and turntables.")
    ] = 1
    keep_minutes: Annotated[
        float, typer.Option(min=0.01, max=10_000, metavar="MINUTES", help="How long results are kept.")
    ] = 60.0
    stop_seconds: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="What is under way may take this long at the end.")
    ] = 60.0
    scheduler: Annotated[
        SchedulerName | None, typer.Option(metavar="NAME", help="As for sample: ddpm, ddim, dpmsolver++ or unipc.")
    ] = None
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="Default: the GPU if there is one.")] = None
