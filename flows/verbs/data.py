"""Verbs about data sets: how objects look in numbers, which were selected, and the card of rendered views."""

# A verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.app import app, say
from flows.environment import hub_token, hub_url, profile_name
from flows.options import with_options
from tasks.commands.aesthetic.options import AestheticOptions


@app.command()
@with_options(AestheticOptions)
def aesthetic_scores(options: AestheticOptions) -> int:
    """Score objects by their images with LAION's predictor (docs/selection.md). Interrupted, it goes on."""
    # Before torch loads OpenMP, as for a stage
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from flows.aesthetic_scores import aesthetic_scores as score_objects
    from flows.wiring import Hub

    score_objects(options, Path.cwd(), profile_name(), Hub(hub_url() or Hub.url, hub_token()), say)
    return 0


@app.command()
def export_selection(
    out: Annotated[Path, typer.Argument(help="The new list, .csv or .parquet, for select.list.", metavar="FILE")],
    selected: Annotated[Path, typer.Option(metavar="FOLDER", help="What the stage select made.")] = Path(
        "data/selected"
    ),
) -> int:
    """Write uid, score and split of each selected object. `select.list` selects the same objects elsewhere."""
    from tasks.commands.export_selection import export_selection as write_list

    print(f"{out}: {write_list(selected, out)} objects")
    return 0


@app.command()
def dataset_card(
    views: Annotated[Path, typer.Argument(help="A view set, such as data/views.", metavar="VIEWS")],
    out: Annotated[Path, typer.Argument(help="The new folder.", metavar="OUT")],
    objects: Annotated[Path, typer.Option(metavar="FOLDER", help="What the stage download made.")] = Path(
        "data/objects"
    ),
    name: Annotated[str, typer.Option(metavar="NAME", help="The data set's name.")] = "mvdiffusion-views",
) -> int:
    """Write the card of a view set: README.md, attribution.csv and croissant.json, with the licences of its objects."""
    from tasks.commands.dataset_card import write_dataset_card

    print(write_dataset_card(views, objects, out, name))
    return 0
