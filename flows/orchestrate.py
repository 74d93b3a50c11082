"""The Prefect flows: order, retries and time limits of stages. DVC decides what is stale; the graph is dvc.yaml.

Each stage is one task, and each task one `dvc repro --single-item` in its own processes: GPU memory is given back, and
one crash does not take the rest. Running a flow and running `dvc repro` leave the same dvc.lock.
"""

import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import psutil
from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from flows.checkout_lock import only_run
from flows.environment import FLOW_RUN, profile_name
from flows.params import load_params
from flows.params_edit import set_params as write_params
from flows.pipeline import FLOWS
from flows.run_artifacts import MADE, Progress, show_promotion, show_stages, show_trainings
from flows.settings import chosen, settings_model
from flows.stage import made_event
from infra.execution.end_with import end_with
from infra.execution.processes import TERM_GRACE, ProcessGroup
from infra.execution.torchrun import SHUTDOWN_SECONDS
from infra.mlflow_pages import MlflowPages
from infra.profile import load_profile
from infra.versioning import Repository, StageInfo, repro_command

PROJECT = Path(__file__).resolve().parents[1]
LINES_IN_ERROR = 5
RETRY_SECONDS = 10
"""Wait before the first further attempt at a stage; the next waits are 2, 4, ... times as long."""


def walk(root: Path, target: str, *, force: bool, pages: MlflowPages | None = None) -> list[State]:
    """Bring a stage and what it needs up to date, in running order; to be called inside a flow.

    After a failure the stages that do not need its output still run.

    Args:
        root: The checkout.
        target: Name of the stage.
        force: Run every stage, also those that are up to date.
        pages: The MLflow server whose runs Prefect's artifacts link to; None: they link to none.

    Returns:
        How each stage ended: Completed, Cached (it was up to date), Restored (DVC held the result) or Failed.
    """
    states: dict[str, State] = {}
    repository = Repository(root)
    repository.await_others()
    stages = repository.stages([target])
    progress = Progress(target, [stage.name for stage in stages])
    for stage in stages:
        upstream = [states[name] for name in stage.upstream]
        run = _task(stage)
        with progress.stage(stage.name):
            states[stage.name] = run(root, stage.name, force, wait_for=upstream, return_state=True)
        if states[stage.name].name in MADE:
            emit_event(made_event(stage.name), resource={"prefect.resource.id": f"mvdpp.stage.{stage.name}"})
    show_stages(root, target, states, pages)
    return list(states.values())


def reproduce(root: Path, name: str, force: bool) -> State:
    """Run or restore one stage if DVC calls it stale. Whatever ends this call ends the stage's processes as well.

    Args:
        root: The checkout.
        name: Name of the stage.
        force: Run it also when it is up to date.

    Raises:
        RuntimeError: The stage failed; the message ends with the last lines of its output.
    """
    log = get_run_logger()
    repository = Repository(root)
    if not force and not repository.changes(name):
        return Completed(name="Cached", message="dvc.lock is up to date")
    is_restorable = not force and repository.is_restorable(name)
    tail: deque[str] = deque(maxlen=LINES_IN_ERROR)
    command = repro_command(name, single=True, force=force)
    env = {FLOW_RUN: runtime.flow_run.ui_url or runtime.flow_run.id or ""}
    # A training that is told to end saves its state first, which may take longer than a process usually has.
    with ProcessGroup(command, root=root, env=env, output=subprocess.PIPE, grace=SHUTDOWN_SECONDS) as group:
        for line in filter(None, group.lines()):
            log.info(line)
            tail.append(line)
        code = group.wait()
    if code:
        raise RuntimeError(f"`dvc repro {name}` ended with exit code {code}; it said last:\n" + "\n".join(tail))
    if is_restorable:
        return Completed(name="Restored", message="DVC held the result of exactly these inputs")
    return Completed(message="made")


def promote(root: Path) -> None:
    """Let the model become the champion if it passes the profile's gate; an artifact says what came of it.

    A model that is not better is no failure of the flow. Raises RuntimeError when nobody can say whether it is.
    """
    if load_profile(profile_name()).promote is None:
        return
    with ProcessGroup([sys.executable, "-m", "flows", "promote"], root=root, output=subprocess.PIPE) as group:
        said = list(filter(None, group.lines()))
        code = group.wait()
    for line in said:
        get_run_logger().info(line)
    text = said[-1] if said else "nothing was said"
    show_promotion(text)
    if code not in (0, 1):
        raise RuntimeError(f"`python -m flows promote` ended with exit code {code}: {text}")


def _task(stage: StageInfo) -> Any:
    policy = stage.policy
    return task(
        name=stage.name,
        task_run_name=stage.name,
        description=stage.desc,
        retries=policy.get("retries", 0),
        retry_delay_seconds=exponential_backoff(policy.get("retry_delay_seconds", RETRY_SECONDS)),
        timeout_seconds=policy.get("timeout_seconds"),
        cache_policy=NO_CACHE,
    )(reproduce)


def deployed_flow(name: str) -> Any:
    """Make the Prefect flow of one row of FLOWS, over this checkout."""
    (row,) = (row for row in FLOWS if row.name == name)
    form = settings_model(f"{name.title().replace('-', '')}Settings", row.settings)

    @flow(name=row.name, description=row.description)
    def run(
        settings: form | None = None,  # type: ignore[valid-type]  # made above
        set_params: dict[str, Any] | None = None,
        force: bool = False,
    ) -> list[State]:
        """Bring the flow's target up to date.

        Args:
            settings: values to write into params.yaml first, checked before anything is scheduled.
            set_params: further values by their full key, such as {"render.quality": "draft"}.
            force: run every stage, also those that are up to date.
        """
        for worker in _worker_processes():
            end_with(worker, "the Prefect worker", SHUTDOWN_SECONDS + 2 * TERM_GRACE)
        changes = {**(chosen(settings, row.settings) if settings else {}), **(set_params or {})}
        with only_run(PROJECT, get_run_logger().warning):
            if changes:
                write_params(PROJECT / "params.yaml", changes)
            load_params(PROJECT / "params.yaml")
            states = walk(PROJECT, row.target, force=force, pages=_mlflow_pages())
        command = [sys.executable, "-m", "flows", "tag-runs"]
        with ProcessGroup(command, root=PROJECT, output=subprocess.PIPE) as tagging:
            for line in tagging.lines():
                get_run_logger().info(line)
        show_trainings(PROJECT, load_profile(profile_name()).tracking_uri)
        if row.promotes and all(state.is_completed() for state in states):
            promote(PROJECT)
        return states

    return run


def _mlflow_pages() -> MlflowPages | None:
    uri = load_profile(profile_name()).tracking_uri
    return MlflowPages(uri) if uri and uri.startswith(("http://", "https://")) else None


def _worker_processes() -> list[psutil.Process]:
    """Return the processes of the Prefect worker that has started this one; none where it is no deployment's run."""
    if "PREFECT__FLOW_RUN_ID" not in os.environ:  # which a worker sets
        return []
    return [process for process in psutil.Process().parents() if "prefect" in " ".join(process.cmdline())]


# Deployments name these as entrypoints.
render_objaverse = deployed_flow("render-objaverse")
train_mask_vae = deployed_flow("train-mask-vae")
train_diffusion = deployed_flow("train-diffusion")
evaluate = deployed_flow("evaluate")
data_to_model = deployed_flow("data-to-model")
