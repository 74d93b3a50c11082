"""Runs one stage as its command in dvc.yaml does: check, open the MLflow run and the tools, run, report."""

import errno
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flows.params import Params, load_params
from flows.pipeline import WORK
from flows.run_records import RunRecord, end_abandoned, note_end, note_start, tag_outputs, write_record
from infra.execution.processes import signals_raise
from infra.machine import user_name
from infra.profile import Profile, load_profile
from infra.tracking import PARENT_TAG, TrackingStore
from infra.versioning import Repository, StageInfo, commit, leaves
from tasks.artifacts.atomic import read_json, write_bytes
from tasks.artifacts.manifest import MANIFEST
from tasks.ports import Tools, Tracker

SHEETS_PER_RUN = 12
DISK_FULL = "; free space there and give the same command again: what is finished stays"
PIPELINE_TAGS = {
    "mlflow.note.content": "The stages that one `dvc repro`, `python -m flows run` or Prefect flow has run.",
    "mlflow.source.name": "dvc.yaml",
    "mlflow.source.type": "PROJECT",
}
Step = Callable[[Params, Tools], None]
OpenTools = Callable[[str, Profile, Tracker, Path], AbstractContextManager[Tools]]


@dataclass(frozen=True)
class Pipeline:
    """What runs for the name of each stage, and how its tools are made."""

    steps: Mapping[str, Step]
    open_tools: OpenTools


def stage_process(
    name: str,
    root: Path,
    pipeline: Pipeline,
    *,
    profile: str,
    flow_run: str,
    is_under_dvc: bool = False,
    verbose: bool = False,
) -> int:
    """Run a stage and return the exit code of its process: 0, or 1 when it failed.

    A failure is one sentence on stderr, and its traceback goes to .work/logs/NAME.log.

    Args:
        name: Name of the stage.
        root: The checkout.
        pipeline: The stages.
        profile: Name or file of the profile.
        flow_run: Address or id of the Prefect flow run that the process belongs to; empty without one.
        is_under_dvc: Whether DVC has started this process; it then ends when DVC does, however that one ends.
        verbose: Whether the traceback is shown as well.
    """
    try:
        settings = load_profile(profile)
        run_stage(name, root, pipeline, profile=settings, flow_run=flow_run, is_under_dvc=is_under_dvc)
    except (ValueError, ArithmeticError, RuntimeError, OSError) as error:
        remedy = DISK_FULL if isinstance(error, OSError) and error.errno == errno.ENOSPC else ""
        log = root / WORK / "logs" / f"{name}.log"
        try:
            write_bytes(log, traceback.format_exc().encode())
            place = str(log.relative_to(root))
        except OSError as full:
            place = f"not written, {full}"
        if verbose:
            traceback.print_exc()
        sys.stderr.write(f"stage {name} failed: {error}{remedy}\n(traceback: {place})\n")
        return 1
    return 0


def run_stage(
    name: str, root: Path, pipeline: Pipeline, *, profile: Profile, flow_run: str, is_under_dvc: bool
) -> None:
    """Run a stage inside its MLflow run, and record that it ended well. `stage_process` says what the arguments are.

    SIGTERM and SIGINT become exceptions, so that the stage cleans up and the MLflow run ends as KILLED.

    Raises:
        ValueError: Parameters are wrong, or an output is finished already; nothing has run.
        RuntimeError: The tracking store takes no runs, so nothing has run; or the stage has not sealed its output.
    """
    params = load_params(root / "params.yaml")
    repository = Repository(root)
    stage = repository.stage(name)
    dvc_command = repository.end_with_dvc(name) if is_under_dvc else ""
    _clear_unsealed(root, stage.outs)
    store = TrackingStore(root, profile.tracking_uri, attempts=profile.retries + 1)
    end_abandoned(root, name, store)
    tag_outputs(root, store)
    key = repository.run_key(name) or ""
    known = repository.dep_hashes(name, with_files=True)
    hashes = {path: known[path] for path in stage.deps if path in known}
    origin = _origin(repository) | ({"prefect.flow_run": flow_run} if flow_run else {})
    tags = _tags(stage, key, hashes) | origin
    with ExitStack() as stack:
        stack.enter_context(signals_raise())
        above = ""
        if started_by := flow_run or dvc_command:
            above = stack.enter_context(store.pipeline(started_by, origin | PIPELINE_TAGS))
            tags[PARENT_TAG] = above
        tracker = stack.enter_context(
            store.run(name, tags=tags, params=_params(params, stage), places=repository.places())
        )
        with _noted(root, name, tracker.run_id, above), pipeline.open_tools(name, profile, tracker, root) as tools:
            start = time.monotonic()
            pipeline.steps[name](params, replace(tools, input_hashes=known))
            seconds = time.monotonic() - start
        _report(tracker, [root / out for out in stage.outs], seconds)
    write_record(root, name, RunRecord(tracker.run_id, key, round(seconds, 3), experiment_id=store.experiment_id))


def _origin(repository: Repository) -> dict[str, str]:
    """Return who runs which code, under MLflow's names and under ours, which also say what MLflow has no name for."""
    code = commit(repository.root)
    tags = {"mlflow.user": user_name(), "git.commit": code.revision, "git.dirty": str(code.is_dirty).lower()}
    return tags | ({"mlflow.source.git.commit": code.revision} if code.is_known else {})


def _tags(stage: StageInfo, key: str, hashes: Mapping[str, str]) -> dict[str, str]:
    tags = {"stage": stage.name, "dvc.stage": stage.name, "dvc.run_key": key, "mlflow.note.content": stage.desc}
    tags |= {"mlflow.source.name": stage.cmd, "mlflow.source.type": "PROJECT"}
    return tags | {f"dvc.dep.{path}": value for path, value in hashes.items()}


def _params(params: Params, stage: StageInfo) -> dict[str, object]:
    """Return the stage's parameters; every training's section is called `train`, so that they line up in MLflow."""
    rows = leaves(params.model_dump(mode="json", include=set(stage.params)))
    return {re.sub(r"^train_[^.]+", "train", key): value for key, value in rows.items()}


def _clear_unsealed(root: Path, outs: Sequence[str]) -> None:
    """Remove what an unfinished run left, as DVC does before it runs a command; for a stage that is run by hand."""
    for out in (root / name for name in outs):
        if (out / MANIFEST).exists():
            raise ValueError(
                f"{out.relative_to(root)} is finished already; `dvc repro` makes it again when it is stale, "
                "or delete it to run the stage by hand"
            )
        if out.exists():
            shutil.rmtree(out)


def _report(tracker: Tracker, outs: Sequence[Path], seconds: float) -> None:
    """Log the duration, and for each output its manifest, the counts in it and some contact sheets."""
    tracker.metrics({"stage_seconds": seconds})
    for out in outs:
        manifest = out / MANIFEST
        if not manifest.exists():
            raise RuntimeError(f"the stage ended without {manifest}, so its output does not count as made")
        tracker.metrics({f"items/{status}": count for status, count in read_json(manifest)["counts"].items()})
        tracker.artifact(manifest)
        for sheet in sorted((out / "sheets").glob("*.png"))[:SHEETS_PER_RUN]:
            tracker.image(sheet, f"sheets/{sheet.stem}")


@contextmanager
def _noted(root: Path, name: str, run_id: str, pipeline: str) -> Iterator[None]:
    note_start(root, name, run_id, pipeline)
    try:
        yield
    finally:
        note_end(root, name)
