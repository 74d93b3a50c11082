"""Verbs about the machine and what runs on it beside the stages: doctor, Prefect's server and worker, MLflow's UI."""

# A verb imports what it needs when it runs: with torch, MLflow, DVC, Prefect and pydantic at the top, `--help` and a
# mistyped verb would take ten seconds instead of a quarter of one.

from pathlib import Path
from typing import Annotated

import typer

from flows.app import app, say
from flows.environment import notify_block, profile_name


@app.command()
def doctor() -> int:
    """Check this machine, with a remedy for what is missing."""
    from infra.setup.doctor import exit_code, render, run_doctor

    try:
        from infra.profile import load_profile
    except ModuleNotFoundError:  # the packages are missing: the doctor says which
        profile = None
    else:
        profile = load_profile(profile_name())
    return exit_code(run_doctor(profile, Path.cwd(), show=lambda check: say(render([check]))))


@app.command()
def serve(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="PORT", help="Port of Prefect's server; default: as configured (prefect.toml)."
        ),
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE/NAME",
            help="Prefect block that tells of failed and late runs, such as slack-webhook/team; default: MVDPP_NOTIFY.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the worker; each machine's its own.", show_default=True)
    ] = "local",
    worker_only: Annotated[
        bool,
        typer.Option("--worker-only", help="Start no server, but wait for the one that PREFECT_API_URL names."),
    ] = False,
) -> int:
    """Start Prefect on this machine, until Ctrl-C. Starts a server and a worker and registers the deployments."""
    from flows import servers
    from flows.params import load_params

    root = Path.cwd()
    load_params(root / "params.yaml")
    api = f"http://127.0.0.1:{port}/api" if port else servers.configured_api()
    servers.serve(root, api, say, notify=notify or notify_block(), name=name, starts_server=not worker_only)
    return 0


@app.command()
def ui(port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="Port of MLflow's UI.")] = 5000) -> int:
    """Start the UIs of MLflow and Prefect, until Ctrl-C."""
    from flows.servers import configured_api, show
    from flows.verbs.tracking import tracking_store

    show(Path.cwd(), configured_api(), port, tracking_store(), say)
    return 0
