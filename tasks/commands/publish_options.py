"""Arguments of the command that publishes a model or a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class PublishOptions:
    """What is published, and where."""

    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A trained model or a view set: models_out/stage3, data/views.")
    ]
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="A new folder, or hub:OWNER/NAME for a repository of the hub.")
    ]
    report: Annotated[Path, typer.Option(metavar="FOLDER", help="For a model: the report that evaluated it.")] = Path(
        "reports"
    )
    objects: Annotated[
        Path, typer.Option(metavar="FOLDER", help="For views: the objects that they show, with their licences.")
    ] = Path("data/objects")
    name: Annotated[str, typer.Option(metavar="NAME", help="The name on the card.")] = "mvdiffusion-pp"
    private: Annotated[bool, typer.Option("--private", help="Make a new repository of the hub private.")] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published, and check it; publish nothing.")
    ] = False
