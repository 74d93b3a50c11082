"""Verbs that run the pipeline and say how it stands."""

# A verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from flows.app import PROGRAM, app
from flows.environment import dvc_stage, flow_run, hub_token, hub_url, profile_name


@app.command()
def plan(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="TARGET", help="Stages, with what they need; default: all.")
    ] = None,
    cost: Annotated[
        bool, typer.Option("--cost", help="Show hours, disk and money of a whole run instead. Needs no data.")
    ] = False,
    params: Annotated[
        Path, typer.Option(metavar="FILE", help="With --cost: the params file.", show_default=True)
    ] = Path("params.yaml"),
    cores: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="With --cost: processor cores; default: the profile's.")
    ] = None,
    cards: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="With --cost: graphics cards; default: the profile's.")
    ] = None,
) -> int:
    """Show what would run, stage by stage, and why, or what it would cost. Starts nothing."""
    from rich.console import Console

    from flows.params import load_params

    root = Path.cwd()
    if cost:
        from flows.cost import count_costs, machines_of
        from flows.cost_table import render_costs
        from infra.profile import load_profile
        from infra.rates import load_rates

        if targets:
            raise ValueError(f"--cost counts the whole run; leave {' '.join(targets)} out")
        profile, rates = load_profile(profile_name()), load_rates()
        machines = machines_of(profile, cores=cores, cards=cards)
        Console().print(
            render_costs(count_costs(load_params(root / params), machines, profile, rates), machines, rates)
        )
        return 0
    if cores is not None or cards is not None or params != Path("params.yaml"):
        raise ValueError("--params, --cores and --cards say what --cost counts with; add --cost")

    from flows.plan import plan as plan_stages
    from flows.plan import render_plan

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
    from infra.execution.torchrun import SHUTDOWN_SECONDS
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
        command = repro_command(target, force=force)
        with signals_raise(), ProcessGroup(command, root=root, grace=SHUTDOWN_SECONDS) as group:
            code = group.wait()
    if code:
        return 1
    tag_runs()
    return results()


@app.command()
def push(
    remote: Annotated[
        str | None, typer.Option("--remote", "-r", metavar="NAME", help="A remote of DVC; default: the default one.")
    ] = None,
) -> int:
    """Send results to DVC's remote (dvc push), ask it for each of them, and send what an earlier push left out."""
    from flows.push import push as push_and_ask

    said = push_and_ask(Path.cwd(), remote)
    if said is None:
        return 1
    print(said)
    return 0


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
    from flows.stage_process import Pipeline, stage_process
    from flows.wiring import Hub, open_tools

    try:
        return stage_process(
            name,
            Path.cwd(),
            Pipeline(STAGES, partial(open_tools, hub=Hub(hub_url() or Hub.url, hub_token()))),
            profile=profile_name(),
            flow_run=flow_run(),
            is_under_dvc=dvc_stage() == name,  # which DVC sets for the command of a stage
            verbose=verbose,
        )
    except (KeyboardInterrupt, SystemExit) as end:
        exit_now(end)


@app.command()
def status() -> int:
    """Show how each stage ended last, and whether it is stale."""
    from rich.console import Console

    from flows.status import render_status, stage_status, training_links
    from infra.profile import load_profile

    Console().print(render_status(stage_status(Path.cwd())))
    links = training_links(Path.cwd(), load_profile(profile_name()).tracking_uri)
    print("\n".join(f"trainings, {link}" for link in links), end="\n" if links else "")
    return 0


@app.command()
def results() -> int:
    """Show where the results lie."""
    from rich.console import Console

    from flows.status import render_results
    from infra.profile import load_profile

    Console().print(render_results(Path.cwd(), load_profile(profile_name()).tracking_uri))
    return 0


@app.command()
def tag_runs() -> int:
    """Tag MLflow runs with the hashes of what they made. DVC knows these after a stage has ended (dvc.lock)."""
    from flows.run_records import tag_outputs
    from flows.verbs.tracking import tracking_store

    tagged = tag_outputs(Path.cwd(), tracking_store())
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


def exit_now(end: BaseException) -> NoReturn:
    """End the process, which has cleaned up, without waiting for threads that wait for a server."""
    code = getattr(end, "code", 128 + signal.SIGINT)
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
