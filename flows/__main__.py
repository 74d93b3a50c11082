"""The command line: `python -m flows VERB`. Settings reach the project from the environment here and nowhere else.

What a launcher says of ranks is read where the ranks meet; what only tames a library is set where that is imported.
"""

# Each verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer import TyperException

from flows.options import sentence_of, with_options
from tasks.commands.look_options import LookOptions
from tasks.commands.sample_options import SampleOptions
from tasks.commands.score_options import ScoreOptions

if TYPE_CHECKING:
    from infra.tracking import TrackingStore

PROGRAM = "python -m flows"
DEFAULT_PROFILE = "laptop"
EXAMPLES = """\
\b
Examples:
  python -m flows plan                              what would run, and why
  python -m flows run                               make everything that is stale
  python -m flows run render --set render.quality=draft
  python -m flows look path/to/objects              how they stand, before anything is rendered
  python -m flows sample --model models_out/stage3 photo.png --out drawn
  python -m flows score outputs --layout syncdreamer --name syncdreamer
  python -m flows status                            how each stage ended
  python -m flows doctor                            is this machine ready?
  python -m flows serve                             Prefect: deployments, schedule, retries
  python -m flows ui                                browse runs (MLflow) and flows (Prefect)

\b
Environment:
  MVDPP_PROFILE   where and how fast: a name in infra/profiles/ or a YAML file (default: laptop)
  HF_TOKEN        token of an account at the hub: more requests, gated weights and data sets
"""
app = typer.Typer(
    help="MVDiffusion++ from a catalog of 3D objects to a trained, evaluated model.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich costs as much time as everything else here
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code.

    0: done. 1: a stage or check failed. 2: a mistake in what was asked, said in a sentence on stderr. 130: Ctrl-C.
    """
    try:
        return int(app(args=words, prog_name=PROGRAM, standalone_mode=False) or 0)
    except TyperException as mistake:
        print(sentence_of(mistake, PROGRAM), file=sys.stderr)
        return 2
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2


@app.command()
def plan(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="TARGET", help="Stages, with what they need; default: all.")
    ] = None,
) -> int:
    """Show what would run, stage by stage, and why. Starts nothing."""
    from rich.console import Console

    from flows.params import load_params
    from flows.plan import plan as plan_stages
    from flows.plan import render_plan

    root = Path.cwd()
    load_params(root / "params.yaml")
    Console().print(render_plan(plan_stages(root, targets or [])))
    return 0


@app.command()
def run(
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="A stage; default: everything.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Write into params.yaml first.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run every stage, also those that are up to date.")] = False,
) -> int:
    """Bring a stage and what it needs up to date (dvc repro). Shows then where the results lie."""
    from flows.checkout_lock import only_run
    from flows.params import load_params
    from flows.params_edit import parse_assignments, set_params
    from infra.execution.processes import ProcessGroup, signals_raise
    from infra.versioning import Repository, repro_command

    root = Path.cwd()
    with only_run(root):
        if assignments:
            set_params(root / "params.yaml", parse_assignments(assignments))
        load_params(root / "params.yaml")
        repository = Repository(root)
        if target:
            repository.stage(target)
        repository.await_others()
        with signals_raise(), ProcessGroup(repro_command(target, force=force), root=root) as group:
            code = group.wait()
    if code:
        return 1
    tag_runs()
    return results()


@app.command()
def stage(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A stage of dvc.yaml.")],
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the traceback of a failure.")] = False,
) -> int:
    """Run the command of one stage; dvc.yaml calls this."""
    # Before torch loads OpenMP: threads that spin while they wait slow a shared machine down tenfold (infra/LOG.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # the stage shows its own
    from flows.pipeline import STAGES
    from flows.stage_process import FLOW_RUN, Pipeline, stage_process
    from flows.wiring import Hub, open_tools

    try:
        return stage_process(
            name,
            Path.cwd(),
            Pipeline(STAGES, partial(open_tools, hub=Hub(os.environ.get("HF_ENDPOINT") or Hub.url, _hub_token()))),
            profile=_profile_name(),
            flow_run=os.environ.get(FLOW_RUN, ""),
            is_under_dvc=os.environ.get("DVC_STAGE") == name,  # which DVC sets for the command of a stage
            verbose=verbose,
        )
    except (KeyboardInterrupt, SystemExit) as end:
        _exit_now(end)


@app.command()
@with_options(LookOptions)
def look(options: LookOptions) -> int:
    """Show a few objects of a folder on one sheet: axes, textures, and what would be rejected and why."""
    from flows.look import look as look_at

    look_at(options, Path.cwd(), _profile_name(), _say)
    return 0


@app.command()
@with_options(SampleOptions)
def sample(options: SampleOptions) -> int:
    """Sample the views of an object from photos of it. Writes views, contact sheet, turntables, cut-outs and meshes."""
    from infra.machine import torch_device
    from tasks.commands.photos import sample_photos

    files = sample_photos(options, options.device or torch_device(), lambda line: print(line, file=sys.stderr))
    views = [file for file in files if file.stem.startswith("t") and file.suffix == ".png"]
    others = ", ".join(str(file.relative_to(options.out)) for file in files if file not in views)
    print(f"{options.out}: {len(views)} views, {others}")
    return 0


@app.command()
@with_options(ScoreOptions)
def score(options: ScoreOptions) -> int:
    """Score the predictions of another system like ours. Imports them into data/peers and shows their row."""
    from flows.score import score as score_folder

    score_folder(options, Path.cwd(), _profile_name(), _say)
    return 0


@app.command()
def export(
    views: Annotated[
        Path, typer.Argument(help="A view set, such as data/views or data/samples/stage3-sparse-1.", metavar="VIEWS")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder to write into.")],
    uid: Annotated[
        list[str] | None, typer.Option(metavar="UID", help="An object (again for more); default: all.")
    ] = None,
) -> int:
    """Write a view set as other tools read it. Each object becomes transforms.json and PNG files."""
    from tasks.commands.export import export_nerf

    folders = export_nerf(views, uid or [], out)
    print(f"{len(folders)} objects, such as {folders[0]}")
    return 0


@app.command()
def export_model(
    model: Annotated[Path, typer.Argument(help="A trained stage, such as models_out/stage3.", metavar="MODEL")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The new folder, ready to upload to a model hub.")],
    report: Annotated[Path, typer.Option(metavar="FOLDER", help="The report that evaluated the model.")] = Path(
        "reports"
    ),
) -> int:
    """Copy a trained model with its scores beside the card, as model hubs show them."""
    from tasks.commands.export_model import export_model as copy_model

    print(copy_model(model, report, out))
    return 0


@app.command()
def status() -> int:
    """Show how each stage ended last, and whether it is stale."""
    from rich.console import Console

    from flows.status import render_status, stage_status

    Console().print(render_status(stage_status(Path.cwd())))
    return 0


@app.command()
def results() -> int:
    """Show where the results lie."""
    from rich.console import Console

    from flows.status import render_results

    Console().print(render_results(Path.cwd()))
    return 0


@app.command()
def doctor() -> int:
    """Check this machine, with a remedy for what is missing."""
    from infra.setup.doctor import exit_code, render, run_doctor

    try:
        from infra.profile import load_profile
    except ModuleNotFoundError:  # the packages are missing: the doctor says which
        profile = None
    else:
        profile = load_profile(_profile_name())
    return exit_code(run_doctor(profile, Path.cwd(), show=lambda check: _say(render([check]))))


@app.command()
def serve(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="PORT", help="Port of Prefect's server; default: as configured (prefect.toml)."
        ),
    ] = None,
) -> int:
    """Start Prefect on this machine, until Ctrl-C. Starts a server and a worker and registers the deployments."""
    from flows import servers
    from flows.params import load_params

    root = Path.cwd()
    load_params(root / "params.yaml")
    api = f"http://127.0.0.1:{port}/api" if port else servers.configured_api()
    servers.serve(root, api, _say)
    return 0


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of MLflow's UI.")] = 5000) -> int:
    """Start the UIs of MLflow and Prefect, until Ctrl-C."""
    from flows.servers import configured_api, show

    show(Path.cwd(), configured_api(), port, _tracking_store(), _say)
    return 0


@app.command()
def tag_runs() -> int:
    """Tag MLflow runs with the hashes of what they made. DVC knows these after a stage has ended (dvc.lock)."""
    from flows.run_records import tag_outputs

    tagged = tag_outputs(Path.cwd(), _tracking_store())
    print(f"tagged the outputs of {', '.join(tagged)}" if tagged else "every MLflow run has its tags")
    return 0


@app.command()
def graph(
    write: Annotated[bool, typer.Option("--write", help="Bring the two files to what flows/pipeline.py says.")] = False,
) -> int:
    """Compare dvc.yaml and prefect.yaml with flows/pipeline.py."""
    from flows.graph import stale_files, write_files

    root = Path.cwd()
    if write:
        print("\n".join(f"wrote {name}" for name in write_files(root)) or "dvc.yaml and prefect.yaml are up to date")
        return 0
    stale = stale_files(root)
    for name in stale:
        print(f"{name} differs from flows/pipeline.py; run `{PROGRAM} graph --write`", file=sys.stderr)
    return 1 if stale else 0


app.command("sync", hidden=True)(tag_runs)  # the names of earlier versions
app.command("panel", hidden=True)(results)


def _tracking_store() -> "TrackingStore":
    from infra.profile import load_profile
    from infra.tracking import TrackingStore

    return TrackingStore(Path.cwd(), load_profile(_profile_name()).tracking_uri)


def _profile_name() -> str:
    return os.environ.get("MVDPP_PROFILE") or DEFAULT_PROFILE


def _hub_token() -> str | None:
    return (os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or "").strip() or None


def _exit_now(end: BaseException) -> NoReturn:
    """End the process, which has cleaned up, without waiting for threads that wait for a server."""
    code = getattr(end, "code", 128 + signal.SIGINT)
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
