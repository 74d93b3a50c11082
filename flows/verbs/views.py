"""Verbs about views and models: look at objects, sample from photos, score and export for other systems."""

# A verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from flows.app import app, say
from flows.environment import profile_name
from flows.options import with_options
from tasks.commands.export.options import ExportOptions
from tasks.commands.look_options import LookOptions
from tasks.commands.publish_options import PublishOptions
from tasks.commands.sample_options import SampleOptions
from tasks.commands.score_model_options import ScoreModelOptions
from tasks.commands.score_options import ScoreOptions


@app.command()
@with_options(LookOptions)
def look(options: LookOptions) -> int:
    """Show a few objects of a folder on one sheet: axes, textures, and what would be rejected and why."""
    from flows.look import look as look_at

    look_at(options, Path.cwd(), profile_name(), say)
    return 0


@app.command()
@with_options(SampleOptions)
def sample(options: SampleOptions) -> int:
    """Sample the views of an object from photos of it. Writes views, contact sheet, turntables, cut-outs and meshes."""
    from flows.inference import inference_compute
    from flows.models import resolve_model
    from tasks.commands.photos import sample_photos

    options = replace(options, model=resolve_model(options.model, Path.cwd(), profile_name()))
    compute = inference_compute(profile_name(), options.device, options.attention_chunk)
    files = sample_photos(options, compute, lambda line: print(line, file=sys.stderr))
    views = [file for file in files if file.stem.startswith("t") and file.suffix == ".png"]
    others = ", ".join(str(file.relative_to(options.out)) for file in files if file not in views)
    print(f"{options.out}: {len(views)} views, {others}")
    return 0


@app.command()
@with_options(ScoreOptions)
def score(options: ScoreOptions) -> int:
    """Score the predictions of another system like ours. Imports them into data/peers and shows their row."""
    from flows.score import score as score_folder

    score_folder(options, Path.cwd(), profile_name(), say)
    return 0


@app.command()
@with_options(ScoreModelOptions)
def score_model(options: ScoreModelOptions) -> int:
    """Score a model that was trained elsewhere, or is registered, on the test sets. Keeps its row in data/peers."""
    from flows.environment import hub_token, hub_url
    from flows.score_model import score_model as score_one
    from flows.wiring import Hub

    score_one(options, Path.cwd(), profile_name(), Hub(hub_url() or Hub.url, hub_token()), say)
    return 0


@app.command()
@with_options(ExportOptions)
def export(options: ExportOptions) -> int:
    """Write a view set as other tools and trainings read it (docs/conventions.md). Interrupted, it goes on."""
    from flows.export import export as export_views

    export_views(options, say)
    return 0


@app.command()
def export_model(
    model: Annotated[
        Path,
        typer.Argument(help="A trained stage, such as models_out/stage3 or models:/mvdpp@champion.", metavar="MODEL"),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder, ready to upload to a model hub.")],
    report: Annotated[Path, typer.Option(metavar="FOLDER", help="The report that evaluated the model.")] = Path(
        "reports"
    ),
) -> int:
    """Copy a trained model with its scores beside the card, as model hubs show them."""
    from flows.models import resolve_model
    from tasks.commands.export_model import export_model as copy_model

    print(copy_model(resolve_model(model, Path.cwd(), profile_name()), report, out))
    return 0


@app.command()
@with_options(PublishOptions)
def publish(options: PublishOptions) -> int:
    """Publish a model with its scores, or views with their licences, to a folder or the hub (docs/publishing.md)."""
    from flows.environment import hub_token, hub_url
    from flows.wiring import Hub
    from tasks.commands.publish import Account
    from tasks.commands.publish import publish as publish_folder

    print(publish_folder(options, Account(hub_url() or Hub.url, hub_token()), say))
    return 0


@app.command()
def check_set(
    first: Annotated[
        Path, typer.Argument(help="A test set such as data/gso_eval, or the test_set.json of one.", metavar="SET")
    ],
    second: Annotated[Path, typer.Argument(help="The one to compare it with.", metavar="OTHER")],
) -> int:
    """Compare two test sets view by view: cameras and hashes of the pixels (docs/evaluation.md)."""
    from tasks.commands.check_set import check_set as compare_sets

    is_equal, lines = compare_sets(first, second)
    print("\n".join(lines))
    return 0 if is_equal else 1
