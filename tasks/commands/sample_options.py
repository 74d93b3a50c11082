"""The options of `python -m flows sample`: parser, help, bounds and values in one place. Imports nothing heavy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from models.network.scheduler_names import SchedulerName

MODEL_HELP = "A saved pipeline: models_out/stage3, owner/name@COMMIT of a hub, models:/mvdpp@champion, runs:/ID/stage3."


@dataclass(frozen=True)
class SampleOptions:
    """What to sample from, how, and where to; the command line makes its parser from these fields."""

    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help="Photos of one object, in any order, no poses.")]
    model: Annotated[Path, typer.Option(metavar="MODEL", help=MODEL_HELP)]
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to make.")]
    mask: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="White, or opaque, is the object; once per photo.")
    ] = None
    matte: Annotated[
        Literal["auto", "plain", "grabcut", "rembg"],
        typer.Option(
            help="How objects are cut out. auto: by alpha, else before a plain background; grabcut: within --box; "
            "rembg: by a network."
        ),
    ] = "auto"
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="Pixels around the object, for grabcut; once per photo."),
    ] = None
    matte_model: Annotated[
        str,
        typer.Option(metavar="ONNX", help="Network for rembg: a file, or owner/name@revision/file.onnx of the hub."),
    ] = "~/.u2net/u2net.onnx"
    scheduler: Annotated[
        SchedulerName | None,
        typer.Option(
            metavar="NAME", help="ddpm (the paper's), ddim, dpmsolver++ or unipc. Default: the model's own, else unipc."
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            metavar="N",
            help="Denoising steps. Default: the model's own, else 20, and with ddpm the paper's 75.",
        ),
    ] = None
    guidance: Annotated[
        float, typer.Option(min=1, metavar="SCALE", help="Scale of classifier-free guidance; 1: none.")
    ] = 1.0
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the initial noise.")] = 0
    align_to: Annotated[int, typer.Option(min=0, metavar="N", help="Photo that azimuths count from, from 0.")] = 0
    elevation: Annotated[
        list[float] | None, typer.Option(metavar="DEGREES", help="A row of views (again for more); default: all.")
    ] = None
    fov: Annotated[
        float | None,
        typer.Option(min=1, max=170, metavar="DEGREES", help="Field of view of the photos; default: the model's."),
    ] = None
    share: Annotated[
        float,
        typer.Option(
            min=0.01, max=1, metavar="SHARE", help="Share of the image's side that the object is made to take."
        ),
    ] = 0.5
    as_is: Annotated[bool, typer.Option("--as-is", help="Photos are square and framed already: leave them alone.")] = (
        False
    )
    mesh_resolution: Annotated[
        int,
        typer.Option(min=16, max=1024, metavar="VOXELS", help="Voxels of the mesh along the cube's side."),
    ] = 96
    mesh_vote: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            metavar="SHARE",
            help="Share of the views that must see a point as foreground. Default: measured by their consistency.",
        ),
    ] = None
    attention_chunk: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Saves memory where attention does not.")
    ] = None
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="Default: the GPU if there is one.")] = None
