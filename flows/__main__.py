"""The command line: `python -m flows VERB`. The only reader of environment variables; imports what the verb needs."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

DEFAULT_PROFILE = "laptop"
MLFLOW_PORT = 5000
MESH_VOTE = 0.9
"""Share of the views that must see a voxel as object, as in params.yaml."""
EXAMPLES = """\
examples:
  python -m flows plan                              what would run, and why
  python -m flows run                               make everything that is stale
  python -m flows run render --set render.quality=draft
  python -m flows sample --model models_out/stage3 photo.png --out drawn
  python -m flows status                            how each stage ended
  python -m flows doctor                            is this machine ready?
  python -m flows serve                             Prefect: deployments, schedule, retries
  python -m flows ui                                browse runs (MLflow) and flows (Prefect)

environment:
  MVDPP_PROFILE   where and how fast: a name in infra/profiles/ or a YAML file (default: laptop)
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; return the exit code: 0 done, 1 a stage or check failed, 2 a mistake in what was asked."""
    arguments = _parser().parse_args(words)
    verb: Callable[[argparse.Namespace, Path], int] = arguments.verb
    try:
        return verb(arguments, Path.cwd())
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows",
        description="MVDiffusion++ from a catalog of 3D objects to a trained, evaluated model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    def add(name: str, verb: Callable[[argparse.Namespace, Path], int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(verb=verb)
        return added

    targets = add("plan", _plan, "Show what would run, stage by stage, and why. Starts nothing.")
    targets.add_argument("targets", nargs="*", metavar="TARGET", help="stages (with what they need); default: all")
    run = add("run", _run, "Bring a stage and what it needs up to date (dvc repro), then show where the results lie.")
    run.add_argument("target", nargs="?", metavar="TARGET", help="a stage; default: everything")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="write into params.yaml first")
    run.add_argument("--force", action="store_true", help="run every stage, also those that are up to date")
    stage = add("stage", _stage, "Run the command of one stage; dvc.yaml calls this.")
    stage.add_argument("name", metavar="NAME")
    stage.add_argument("--verbose", action="store_true", help="show the traceback of a failure")
    export = add(
        "export", _export, "Write a view set as other tools read it: transforms.json and PNG files per object."
    )
    export.add_argument("views", type=Path, metavar="VIEWS", help="such as data/views or data/samples/stage3-sparse-1")
    export.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    export.add_argument("--uid", action="append", default=[], help="an object (again for more); default: all")
    sample = add("sample", _sample, "Draw the views of an object from photos of it: views, sheet, turntable, mesh.")
    _sample_arguments(sample)
    add("status", _status, "Show how each stage ended last, and whether it is stale.")
    add("doctor", _doctor, "Check that this machine can run the pipeline, with a remedy for what is missing.")
    serve = add("serve", _serve, "Start Prefect on this machine: server, deployments and a worker, until Ctrl-C.")
    serve.add_argument("--port", type=int, help="of Prefect's server; default: as configured (prefect.toml)")
    ui = add("ui", _ui, "Start the UIs of MLflow and Prefect, until Ctrl-C.")
    ui.add_argument("--port", type=int, default=MLFLOW_PORT, help=f"of MLflow; default: {MLFLOW_PORT}")
    add("sync", _sync, "Tag MLflow runs with the hashes of what they made, as dvc.lock has them.")
    add("panel", _panel, "Show where the results lie.")
    graph = add("graph", _graph, "Compare dvc.yaml and prefect.yaml with the stages and flows of flows/pipeline.py.")
    graph.add_argument("--write", action="store_true", help="bring the two files to what flows/pipeline.py says")
    return parser


def _sample_arguments(sample: argparse.ArgumentParser) -> None:
    sample.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="of one object, in any order, no poses")
    sample.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="such as models_out/stage3")
    sample.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    sample.add_argument(
        "--mask", action="append", default=[], type=Path, help="grey picture, white is the object; once per photo"
    )
    sample.add_argument("--scheduler", choices=("ddpm", "ddim", "dpmsolver++", "unipc"), default="unipc")
    sample.add_argument("--steps", type=int, default=20, help="default: 20; the paper: 75 with --scheduler ddpm")
    sample.add_argument("--guidance", type=float, default=1.0, help="1, the default: none")
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--align-to", type=int, default=0, metavar="N", help="photo that azimuths count from, from 0")
    sample.add_argument(
        "--elevation", action="append", type=float, help="a row of views (again for more); default: all"
    )
    sample.add_argument("--fov", type=float, metavar="DEGREES", help="of the photos' camera; default: the model's")
    sample.add_argument(
        "--share", type=float, default=0.5, help="of the picture's side that the object is made to take; default: 0.5"
    )
    sample.add_argument("--as-is", action="store_true", help="photos are square and framed already: leave them alone")
    sample.add_argument("--mesh-resolution", type=int, default=96, metavar="VOXELS", help="along the cube's side")
    sample.add_argument("--attention-chunk", type=int, metavar="TOKENS", help="saves memory where attention does not")
    sample.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU if there is one")


def _plan(arguments: argparse.Namespace, root: Path) -> int:
    from rich.console import Console

    from flows.params import load_params
    from flows.plan import plan, render_plan

    load_params(root / "params.yaml")
    Console().print(render_plan(plan(root, arguments.targets)))
    return 0


def _run(arguments: argparse.Namespace, root: Path) -> int:
    from flows.checkout_lock import only_run
    from flows.params import load_params
    from flows.params_edit import parse_assignments, set_params
    from infra.execution.processes import ProcessGroup, signals_raise
    from infra.versioning import Repository, repro_command

    with only_run(root):
        if arguments.set:
            set_params(root / "params.yaml", parse_assignments(arguments.set))
        load_params(root / "params.yaml")
        repository = Repository(root)
        if arguments.target:
            repository.stage(arguments.target)
        repository.forget_ended_runs()
        command = repro_command(arguments.target, force=arguments.force)
        with signals_raise(), ProcessGroup(command, root=root) as group:
            code = group.wait()
    if code:
        return 1
    _sync(arguments, root)
    return _panel(arguments, root)


def _stage(arguments: argparse.Namespace, root: Path) -> int:
    # Before torch loads OpenMP: threads that spin while they wait slow a shared machine down tenfold (infra/LOG.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # the stage shows its own
    from flows.pipeline import STAGES
    from flows.stage_process import FLOW_RUN, Pipeline, stage_process
    from flows.wiring import open_tools

    return stage_process(
        arguments.name,
        root,
        Pipeline(STAGES, open_tools),
        profile=_profile_name(),
        flow_run=os.environ.get(FLOW_RUN, ""),
        verbose=arguments.verbose,
    )


def _export(arguments: argparse.Namespace, root: Path) -> int:
    from tasks.commands.export import export_nerf

    folders = export_nerf(root / arguments.views, arguments.uid, root / arguments.out)
    print(f"{len(folders)} objects, such as {folders[0]}")
    return 0


def _sample(arguments: argparse.Namespace, root: Path) -> int:
    from infra.machine import torch_device
    from models.config import ReconstructConfig
    from tasks.commands.photos import SampleOptions, sample_photos

    options = SampleOptions(
        scheduler=arguments.scheduler,
        steps=arguments.steps,
        guidance=arguments.guidance,
        seed=arguments.seed,
        align_to=arguments.align_to,
        fov_deg=arguments.fov,
        object_share=None if arguments.as_is else arguments.share,
        elevations_deg=tuple(arguments.elevation) if arguments.elevation else None,
        attention_chunk=arguments.attention_chunk,
        device=arguments.device or torch_device(),
    )
    mesh = ReconstructConfig(
        recipe=1, method="hull", resolution=arguments.mesh_resolution, iterations=0, vote=MESH_VOTE
    )
    paths = [root / path for path in arguments.photos]
    masks = [root / path for path in arguments.mask]
    files = sample_photos(root / arguments.model, paths, masks, options, mesh, root / arguments.out)
    views = [file for file in files if file.stem.startswith("t") and file.suffix == ".png"]
    others = ", ".join(file.name for file in files if file not in views)
    print(f"{arguments.out}: {len(views)} views, {others}")
    return 0


def _status(arguments: argparse.Namespace, root: Path) -> int:
    from rich.console import Console

    from flows.status import render_status, stage_status

    del arguments
    Console().print(render_status(stage_status(root)))
    return 0


def _doctor(arguments: argparse.Namespace, root: Path) -> int:
    from infra.setup.doctor import exit_code, render, run_doctor

    del arguments
    try:
        from infra.profile import load_profile
    except ModuleNotFoundError:  # the packages are missing: the doctor says which
        profile = None
    else:
        profile = load_profile(_profile_name())
    return exit_code(run_doctor(profile, root, show=lambda check: _say(render([check]))))


def _serve(arguments: argparse.Namespace, root: Path) -> int:
    from flows.params import load_params
    from flows.servers import configured_api, serve

    load_params(root / "params.yaml")
    api = f"http://127.0.0.1:{arguments.port}/api" if arguments.port else configured_api()
    serve(root, api, _say)
    return 0


def _ui(arguments: argparse.Namespace, root: Path) -> int:
    from flows.servers import configured_api, show
    from infra.profile import load_profile
    from infra.tracking import TrackingStore

    store = TrackingStore(root, load_profile(_profile_name()).tracking_uri)
    show(root, configured_api(), arguments.port, store, _say)
    return 0


def _sync(arguments: argparse.Namespace, root: Path) -> int:
    from flows.run_records import tag_outputs
    from infra.profile import load_profile
    from infra.tracking import TrackingStore

    del arguments
    tagged = tag_outputs(root, TrackingStore(root, load_profile(_profile_name()).tracking_uri))
    print(f"tagged the outputs of {', '.join(tagged)}" if tagged else "every MLflow run has its tags")
    return 0


def _panel(arguments: argparse.Namespace, root: Path) -> int:
    from rich.console import Console

    from flows.status import render_panel

    del arguments
    Console().print(render_panel(root))
    return 0


def _graph(arguments: argparse.Namespace, root: Path) -> int:
    from flows.graph import stale_files, write_files

    if arguments.write:
        print("\n".join(f"wrote {name}" for name in write_files(root)) or "dvc.yaml and prefect.yaml are up to date")
        return 0
    stale = stale_files(root)
    for name in stale:
        print(f"{name} differs from flows/pipeline.py; run `python -m flows graph --write`", file=sys.stderr)
    return 1 if stale else 0


def _profile_name() -> str:
    return os.environ.get("MVDPP_PROFILE") or DEFAULT_PROFILE


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
