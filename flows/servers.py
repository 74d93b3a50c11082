"""Starts the servers of one laptop on the loopback address (Prefect with a worker, the UIs), and ends them together."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.workers.process import ProcessWorker

from flows.automations import register
from flows.pipeline import WORK
from flows.status import deep_links, training_runs
from infra.addresses import leads_here, shown
from infra.execution.processes import ProcessGroup, signals_raise
from infra.health import mlflow_error, request_error
from infra.tracking import TrackingStore, server_command

WORK_POOL = "mvdiffusion-pp"
DEFAULT_API = "http://127.0.0.1:4200/api"
HEARTBEAT_SECONDS = 180
"""Prefect's own, where its settings switch heartbeats off."""
START_SECONDS = 300.0
"""A cold start of Prefect takes half a minute on two busy cores."""
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_CLI_PROMPT": "false"}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Server:
    """A process that runs until it is stopped, with the file that takes its output."""

    name: str
    group: ProcessGroup
    log: Path


def configured_api() -> str:
    """Return the address of Prefect's API: environment, prefect.toml, or the user's Prefect profile, in this order."""
    return str(get_current_settings().api.url or DEFAULT_API).rstrip("/")


def serve(
    root: Path, api: str, say: Say, *, notify: str | None = None, name: str = "local", starts_server: bool = True
) -> None:
    """Start a Prefect server (unless one answers), register the deployments and run a worker, until a signal comes.

    The work pool takes one flow run at a time, however many workers it has, because they share this checkout.

    Args:
        root: The checkout, which holds prefect.yaml.
        api: Address of Prefect's API.
        say: Receives what the user should read.
        notify: Notification block, as "type/name", that tells of failed and late runs; None: nobody is told.
        name: Name of the worker, by which Prefect tells those of several machines apart.
        starts_server: Whether a server is started where none answers. A worker beside a server that others keep must
            not: one that begins while that is away would take its address, with an empty database.

    Raises:
        RuntimeError: A server does not start, does not come, or ends by itself.
        ValueError: Prefect's server has no such block.
    """
    with signals_raise(), ExitStack() as stack:
        servers: list[Server] = []
        if starts_server:
            servers += _prefect_server(root, api, stack, say)
        else:
            _await_server(api, say)
        say("registering the deployments of prefect.yaml ...")
        make_work_pool(api, notify)
        _prefect(root, api, "deploy", "--all")
        worker = ("worker", "start", "--pool", WORK_POOL, "--type", "process", "--name", name, "--limit", "1")
        servers.append(_start(root, "prefect-worker", _words(*worker), _env(api), stack))
        _wait(servers, lambda: _has_worker(api), "the worker")
        say(
            f"\nPrefect UI   {api.removesuffix('/api')}\n"
            "in another terminal, in this folder (with .venv activated):\n"
            + ("" if api == DEFAULT_API else f"  export PREFECT_API_URL={api}\n")
            + "  prefect deployment run render-objaverse/local --watch\n"
            "  prefect deployment run data-to-model/local --watch\n"
            '  prefect deployment run render-objaverse/local --param \'set_params={"render.quality": "draft"}\'\n'
            "Ctrl-C ends everything.\n"
        )
        _watch(servers)


def make_work_pool(api: str, notify: str | None) -> None:
    """Make or renew the work pool and its automations on a Prefect server; `serve` says what `notify` is.

    Raises:
        ValueError: The server has no such block.
    """
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=template, concurrency_limit=1)
        client.create_work_pool(pool, overwrite=True)
        register(client, WORK_POOL, get_current_settings().flows.heartbeat_frequency or HEARTBEAT_SECONDS, notify)


def show(root: Path, api: str, port: int, store: TrackingStore, say: Say) -> None:
    """Start the UIs of MLflow and Prefect, until a signal comes.

    Args:
        root: The checkout.
        api: Address of Prefect's API.
        port: Port of MLflow's UI; not used when the profile has a tracking server, which has a UI itself.
        store: Where the runs are kept.
        say: Receives what the user should read.

    Raises:
        RuntimeError: A server does not start, or ends by itself.
    """
    with signals_raise(), ExitStack() as stack:
        mlflow, servers = f"http://127.0.0.1:{port}", []
        if store.is_server:
            mlflow = store.uri.rstrip("/")
        else:
            command = server_command(root, sys.executable, port, store.uri)
            servers.append(_start(root, "mlflow-server", command, QUIET, stack))
            _wait(servers, lambda: mlflow_error(mlflow) is None, "MLflow")
        say(f"MLflow UI    {mlflow}")
        links = deep_links(mlflow, store.experiment_id, training_runs(root))
        say("\n".join(f"{name:<13}{link}" for name, link in links.items()))
        servers += _prefect_server(root, api, stack, say)
        say(f"Prefect UI   {api.removesuffix('/api')}\nCtrl-C ends everything.")
        _watch(servers)


def _prefect_server(root: Path, api: str, stack: ExitStack, say: Say) -> list[Server]:
    if request_error(f"{api}/health") is None:
        return []
    if not leads_here(api):
        raise RuntimeError(f"no Prefect server answers at {shown(api)}; start it, or set PREFECT_API_URL={DEFAULT_API}")
    say("starting a Prefect server (half a minute) ...")
    place = urlsplit(api)
    is_ipv6 = place.hostname == "::1"
    words = _words("server", "start", "--host", "::1" if is_ipv6 else "127.0.0.1", "--port", str(place.port))
    env = _env(api) | {"PREFECT_HOME": str((root / WORK / "prefect").resolve())}
    servers = [_start(root, "prefect-server", words, env, stack)]
    _wait(servers, lambda: request_error(f"{api}/health") is None, "the Prefect server")
    return servers


def _await_server(api: str, say: Say) -> None:
    """Return as soon as Prefect's server answers; raise RuntimeError where it has not within START_SECONDS."""
    deadline = time.monotonic() + START_SECONDS
    is_told = False
    while (error := request_error(f"{api}/health")) is not None:
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"no Prefect server answers at {shown(api)} after {START_SECONDS:.0f} s ({error}); start it, set "
                "PREFECT_API_URL to its address, or leave out --worker-only to start one here"
            )
        if not is_told:
            say(f"waiting for the Prefect server at {shown(api)} ...")
            is_told = True
        time.sleep(0.5)


def _start(root: Path, name: str, words: Sequence[str], env: Mapping[str, str], stack: ExitStack) -> Server:
    log = root / WORK / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    output = stack.enter_context(log.open("w"))
    return Server(name, stack.enter_context(ProcessGroup(words, root=root, env=env, output=output)), log)


def _wait(servers: Sequence[Server], is_ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        _check(servers)
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} does not answer after {START_SECONDS:.0f} s; see {servers[-1].log}")
        time.sleep(0.5)


def _watch(servers: Sequence[Server]) -> None:
    """Return when a signal comes: that is how these commands are meant to end."""
    with suppress(KeyboardInterrupt, SystemExit):
        while True:
            _check(servers)
            time.sleep(0.5)


def _check(servers: Sequence[Server]) -> None:
    for server in servers:
        if server.group.exit_code() is not None:
            last = server.log.read_text(errors="replace").strip().splitlines()[-3:]
            raise RuntimeError(f"{server.name} ended ({server.log}); it said last:\n" + "\n".join(last))


def _prefect(root: Path, api: str, *words: str) -> None:
    """Run one Prefect command to its end."""
    with ExitStack() as stack:
        command = _start(root, f"prefect-{words[0]}", _words(*words), _env(api), stack)
        if command.group.wait():
            raise RuntimeError(f"`prefect {' '.join(words)}` failed:\n{command.log.read_text(errors='replace')}")


def _has_worker(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/work_pools/{WORK_POOL}", timeout=5) as answer:  # noqa: S310 - http only
            return bool(json.load(answer)["status"] == "READY")
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _words(*words: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *words]


def _env(api: str) -> dict[str, str]:
    return QUIET | {"PREFECT_API_URL": api}
