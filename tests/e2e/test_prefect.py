"""Prefect for real: a server on a free port, flows in processes of their own, a DVC project of three short stages."""

import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.execution.processes import ProcessGroup, environment, is_alive
from infra.health import request_error
from tests.flows.promotion_project import make_model, make_report, make_test_set
from tests.infra.server import WebServer
from tests.project_copy import ROOT, copy_project, write_profile
from tests.tiny_repo import copy_repo, edit, repro, runs

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]
NAMES = ("first", "second", "third")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(is_true: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def commands() -> str:
    """The command lines of all processes that run."""
    processes = psutil.process_iter(["cmdline", "status"])
    running = (process.info for process in processes if process.info["status"] != psutil.STATUS_ZOMBIE)
    return "\n".join(" ".join(info["cmdline"] or []) for info in running)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a client of a Prefect server that runs meanwhile."""
    from flows.servers import QUIET  # Prefect costs every session of tests a second and a half

    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    env = QUIET | {"PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    words = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log, ProcessGroup(words, root=home, env=env, output=log):
        wait_for(lambda: request_error(f"{env['PREFECT_API_URL']}/health") is None, 900)
        yield env


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return copy_repo(tmp_path / "repo")


def start(repo: Path, env: dict[str, str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.e2e.tiny_flow", str(repo), *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment(env), stdout=subprocess.PIPE, text=True)


def states(repo: Path, env: dict[str, str], *words: str) -> tuple[str, list[list[str]]]:
    """Name of the flow's state; name and message of each stage's."""
    output, _ = start(repo, env, *words).communicate(timeout=900)
    line = next(line for line in output.splitlines() if line.startswith("STATES "))
    flow, stages = json.loads(line.removeprefix("STATES "))
    return flow, stages


def names(repo: Path, env: dict[str, str], *words: str) -> list[str]:
    return [name for name, _ in states(repo, env, *words)[1]]


def test_flow_runs_what_is_stale_and_leaves_the_lock_of_dvc_repro(
    repo: Path, env: dict[str, str], tmp_path: Path
) -> None:
    assert states(repo, env, "third")[0] == "Completed"
    assert runs(repo) == list(NAMES)
    plain = copy_repo(tmp_path / "plain")
    repro(plain)
    assert (repo / "dvc.lock").read_bytes() == (plain / "dvc.lock").read_bytes()
    assert names(repo, env, "third") == ["Cached", "Cached", "Cached"]
    edit(repo, "second: {depth: 3", "second: {depth: 4")
    assert names(repo, env, "third") == ["Cached", "Completed", "Completed"]
    edit(repo, "second: {depth: 4", "second: {depth: 3")
    assert names(repo, env, "third") == ["Cached", "Restored", "Restored"]
    assert runs(repo) == [*NAMES, "second", "third"]
    assert names(repo, env, "first", "--force") == ["Completed"]
    assert runs(repo)[-1] == "first"


def test_flow_with_a_failing_stage_retries_it_and_stops_there(repo: Path, env: dict[str, str]) -> None:
    edit(repo, "exit: 0", "exit: 3")
    flow, stages = states(repo, env, "third")
    assert (flow, [name for name, _ in stages]) == ("Failed", ["Failed", "NotReady", "NotReady"])
    assert "failed to run: python job.py first" in stages[0][1]
    assert runs(repo) == ["first", "first"]


def test_flow_with_a_stage_over_its_time_limit_ends_its_processes(repo: Path, env: dict[str, str]) -> None:
    edit(repo, "retries: 1, retry_delay_seconds: 0, timeout_seconds: 60", "timeout_seconds: 4", "dvc.yaml")
    edit(repo, "python job.py first data/first", f"python {repo}/job.py first data/first", "dvc.yaml")
    edit(repo, "seconds: 0", "seconds: 10000")
    assert names(repo, env, "first") == ["TimedOut"]
    assert f"{repo}/job.py" not in commands()


def test_flow_that_is_cancelled_leaves_no_process_and_the_next_one_goes_on(repo: Path, env: dict[str, str]) -> None:
    edit(repo, "python job.py second data/second", f"python {repo}/job.py second data/second", "dvc.yaml")
    edit(repo, "second: {depth: 3, seconds: 0", "second: {depth: 3, seconds: 10000")
    process = start(repo, env, "third")
    wait_for(lambda: f"{repo}/job.py second" in commands())
    assert "already has a run" in states(repo, env, "third")[1][0][0]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=900)  # far less than the stage would take
    assert str(repo) not in commands()
    edit(repo, "second: {depth: 3, seconds: 10000", "second: {depth: 3, seconds: 0")
    assert names(repo, env, "third") == ["Cached", "Completed", "Completed"]


@pytest.mark.nightly
def test_flow_promotes_what_passes_the_gate_of_the_profile_and_says_what_does_not(
    repo: Path, env: dict[str, str], tmp_path: Path
) -> None:
    model, test_set = make_model(repo / "models_out/stage3", "weights"), make_test_set(repo, "a" * 64)
    make_report(repo / "reports", model, test_set, psnr=19.0)
    gated = write_profile(tmp_path / "gated.yaml", promote={"threshold": 20})
    client = env | {"MVDPP_PROFILE": str(gated), "PYTHONPATH": str(ROOT)}
    assert states(repo, client, "first", "--promote")[0] == "Completed"
    assert "psnr 19 +- 0.2 over 4 objects is below the threshold 20" in promotion_artifacts(env)[0]
    write_profile(tmp_path / "gated.yaml", promote={"threshold": 18})
    assert states(repo, client, "first", "--promote")[0] == "Completed"
    assert "is models:/mvdpp@champion now, version 1" in promotion_artifacts(env)[0]
    shutil.rmtree(repo / "reports")
    assert states(repo, client, "first", "--promote")[0] == "Completed", "it is the champion already"
    (repo / "models_out/stage3/manifest.json").unlink()
    assert states(repo, client, "first", "--promote")[0] == "Failed"
    write_profile(tmp_path / "gated.yaml", promote=None)
    num_before = len(promotion_artifacts(env))
    assert states(repo, client, "first", "--promote")[0] == "Completed", "without a gate nothing is asked"
    assert len(promotion_artifacts(env)) == num_before


def promotion_artifacts(env: dict[str, str]) -> list[str]:
    """What the artifacts `promotion` say, newest first."""
    question = {"artifacts": {"key": {"any_": ["promotion"]}}, "sort": "CREATED_DESC"}
    request = urllib.request.Request(
        f"{env['PREFECT_API_URL']}/artifacts/filter",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return [row["data"] for row in json.load(answer)]


def serve_project(folder: Path) -> Path:
    """The project with one short stage, which notes its environment and each of its starts."""
    project = copy_project(folder)
    for name in ("prefect.yaml", "prefect.toml"):
        shutil.copyfile(ROOT / name, project / name)
    (project / "dvc.yaml").write_text(
        "stages:\n  render:\n    cmd: echo start >> starts && mkdir -p data/views && env > data/views/env"
        " && while test -e hold; do sleep 0.1; done\n    params: [render]\n    outs: [data/views]\n"
    )
    return project


@contextmanager
def served(project: Path, client: dict[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m flows serve` in the project, once it says that it is ready."""
    command = [sys.executable, "-m", "flows", "serve", *words]
    process = subprocess.Popen(command, cwd=project, env=environment(client), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = "".join(itertools.takewhile(lambda line: "Ctrl-C" not in line, process.stdout))
        assert "prefect deployment run render-objaverse/local --watch" in said
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=600)


@pytest.mark.nightly  # tests/e2e/test_services.py serves and runs a deployment too, with a server that is there
def test_serve_runs_a_deployment_and_leaves_no_process(tmp_path: Path, env: dict[str, str]) -> None:
    project = serve_project(tmp_path / "project")
    client = env | {"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api", "MVDPP_PROFILE": "ci"}
    with served(project, client) as process:
        watch = [sys.executable, "-m", "prefect", "deployment", "run", "render-objaverse/local", "--watch"]
        words = [*watch, "--param", 'set_params={"render.conditions": 31}']
        done = subprocess.run(words, cwd=project, env=environment(client), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout + done.stderr
        family = psutil.Process(process.pid).children(recursive=True)
    assert "conditions: 31" in (project / "params.yaml").read_text()
    assert "MVDPP_PROFILE=ci" in (project / "data/views/env").read_text()
    assert "MVDPP_FLOW_RUN=http://127.0.0.1" in (project / "data/views/env").read_text()
    assert process.returncode == 0
    assert len(family) >= 2  # the server and the worker
    assert not [process for process in family if is_alive(process)]


@pytest.mark.nightly
def test_run_whose_machine_dies_goes_on_at_another_worker(tmp_path: Path, env: dict[str, str]) -> None:
    project = serve_project(tmp_path / "project")
    (project / "hold").touch()
    client = env | {"MVDPP_PROFILE": "ci", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    with served(project, client, "--name", "first") as first:
        words = [sys.executable, "-m", "prefect", "deployment", "run", "render-objaverse/local"]
        subprocess.run(words, cwd=project, env=environment(client), check=True, timeout=600, capture_output=True)
        wait_for(lambda: (project / "starts").exists())
        for process in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
            process.kill()
    (project / "hold").unlink()
    with served(project, client, "--name", "second"):
        wait_for(lambda: deployed_run(env)["state_type"] == "COMPLETED")
    run = deployed_run(env)
    assert run["run_count"] == 2
    assert "CRASHED" in states_of(env, run["id"])
    assert (project / "starts").read_text().split() == ["start", "start"]


AUTOMATE = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from flows.automations import register
block, url = (*sys.argv[1:], None, None)[:2]
if url:
    told = {"subject": "{{subject}}", "body": "{{body}}"}
    CustomWebhookNotificationBlock(name="team", url=url, method="GET", params=told).save("team")
with get_client(sync_client=True) as client:
    print("\\n".join(register(client, "pool", heartbeat=2, block=block)))
"""
"""Registers the automations of a pool; a heartbeat of two seconds lets a silent run count as dead after twelve."""


def ask(env: dict[str, str], path: str, body: object) -> Any:
    request = urllib.request.Request(
        env["PREFECT_API_URL"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


def automate(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", AUTOMATE, *words]
    return subprocess.run(command, cwd=ROOT, env=environment(env), capture_output=True, text=True, timeout=600)


def make_run(env: dict[str, str]) -> str:
    """A run of a deployment that has the pool's tag, as a worker has begun it; its id."""
    flow = ask(env, "/flows/", {"name": "watched"})["id"]
    deployment = ask(env, "/deployments/", {"name": "local", "flow_id": flow, "tags": ["pool"]})["id"]
    run = str(ask(env, f"/deployments/{deployment}/create_flow_run", {"tags": ["pool"]})["id"])
    set_state(env, run, "PENDING", "RUNNING")
    return run


def set_state(env: dict[str, str], run: str, *states: str) -> None:
    for state in states:
        ask(env, f"/flow_runs/{run}/set_state", {"state": {"type": state}})


def beat(env: dict[str, str], run: str) -> None:
    """Send a heartbeat, as Prefect's engine does for a run that has a deployment."""
    event = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "related": [{"prefect.resource.id": "prefect.tag.pool", "prefect.resource.role": "tag"}],
    }
    ask(env, "/events", [event])


def deployed_run(env: dict[str, str]) -> dict[str, Any]:
    """The one run of the deployment render-objaverse."""
    [run] = ask(env, "/flow_runs/filter", {"flows": {"name": {"any_": ["render-objaverse"]}}})
    return dict(run)


def states_of(env: dict[str, str], run: str) -> list[str]:
    address = f"{env['PREFECT_API_URL']}/flow_run_states/?flow_run_id={run}"
    with urllib.request.urlopen(address, timeout=60) as answer:
        return [state["type"] for state in json.load(answer)]


def test_run_whose_heartbeat_stops_crashes_and_goes_on(env: dict[str, str]) -> None:
    done = automate(env)
    assert done.stdout.splitlines() == [
        "pool: a run without heartbeat has crashed",
        "pool: a run that no process takes up has crashed",
        "pool: a crashed run goes on",
    ]
    run = make_run(env)
    for _ in range(3):  # again and again, as the engine does: the server may take the first before it watches
        beat(env, run)
        time.sleep(1)
    wait_for(lambda: states_of(env, run)[-2:] == ["CRASHED", "SCHEDULED"], 300)


def test_automations_that_are_registered_again_stay_the_same_which_know_the_heartbeats(env: dict[str, str]) -> None:
    assert automate(env).returncode == 0
    before = {row["id"]: row["name"] for row in ask(env, "/automations/filter", {}) if row["name"].startswith("pool: ")}
    assert len(before) >= 3
    assert automate(env).returncode == 0
    after = {row["id"]: row["name"] for row in ask(env, "/automations/filter", {}) if row["name"].startswith("pool: ")}
    assert after == {key: name for key, name in before.items() if "told of" not in name}


def test_failed_run_is_told_of_and_an_unknown_block_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    refused = automate(env, "slack-webhook/nobody")
    assert "Prefect's server has no block 'slack-webhook/nobody'; make one" in refused.stderr
    with WebServer(tmp_path) as web:
        assert len(automate(env, "custom-webhook/team", f"{web.url}/told").stdout.splitlines()) == 4
        run = make_run(env)
        ask(env, f"/flow_runs/{run}/set_state", {"state": {"type": "FAILED", "message": "the disk is full"}})
        wait_for(lambda: bool(web.requests), 300)
    assert web.requests[0].startswith("told?subject=watched")
    assert "Failed" in web.requests[0]
    assert "the disk is full" in web.requests[0].replace("+", " ")
