"""Verbs about data sets: which objects were selected, and the card of rendered views."""

# A verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

from pathlib import Path
from typing import Annotated

import typer

from flows.app import app


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
