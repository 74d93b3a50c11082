"""Records in .work/ that join a stage's last execution to its MLflow run. They are never an output of a stage.

MLflow runs could be found by their tag `dvc.run_key` instead. But then `status` would have to import MLflow and reach a
tracking server that may be off, a run that DVC does not cache would have no key, and duration and run would be lost
with the tracking database; and a process that was killed could not be told from one at work, which needs its id.
"""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flows.pipeline import WORK
from infra.execution.processes import runs
from infra.tracking import TrackingStore
from infra.versioning import lock_key, out_hashes
from tasks.artifacts.atomic import read_json, write_json


@dataclass(frozen=True)
class RunRecord:
    """The last execution of a stage that ended well."""

    run_id: str
    """Id of the MLflow run."""
    key: str
    """The stage's key in DVC's run-cache; empty when DVC would not cache the run."""
    seconds: float
    """Duration of the stage."""
    is_tagged: bool = False
    """Whether the MLflow run has the hashes of the outputs as tags."""
    experiment_id: str = ""
    """Of the MLflow run; "" in records of earlier versions."""


def read_record(root: Path, stage: str) -> RunRecord | None:
    """Read the record of a stage; None when it never ended well here, or when the record is torn."""
    note = _read_note(_executed(root, stage))
    return RunRecord(**note) if note else None


def write_record(root: Path, stage: str, executed: RunRecord) -> None:
    """Replace the record of a stage."""
    write_json(_executed(root, stage), asdict(executed))


def tag_outputs(root: Path, store: TrackingStore) -> list[str]:
    """Tag MLflow runs with the hashes of their outputs, where dvc.lock has them by now; return the stages tagged.

    DVC knows the hashes only after the command has ended, so no stage can do this for itself.
    """
    tagged = []
    for path in sorted((root / WORK / "executed").glob("*.json")):
        stage, executed = path.stem, read_record(root, path.stem)
        if executed is None or executed.is_tagged or not executed.key or lock_key(root, stage) != executed.key:
            continue
        if store.knows(executed.run_id):
            store.tag(executed.run_id, {f"dvc.out.{name}": value for name, value in out_hashes(root, stage).items()})
        write_record(root, stage, replace(executed, is_tagged=True))
        tagged.append(stage)
    return tagged


def note_start(root: Path, stage: str, run_id: str, pipeline: str = "") -> None:
    """Record that this process has an MLflow run open, and below which run of a whole pipeline run; "": none."""
    note = {"run_id": run_id, "pipeline": pipeline, "pid": os.getpid(), "root": str(root.resolve())}
    write_json(_running(root, stage), note)


def note_end(root: Path, stage: str) -> None:
    """Remove the record of `note_start`."""
    _running(root, stage).unlink(missing_ok=True)


def end_abandoned(root: Path, stage: str, store: TrackingStore) -> None:
    """End the MLflow runs that a killed process of this stage has left open, as KILLED."""
    path = _running(root, stage)
    if path.exists() and not is_running(root, stage):
        note = _read_note(path)
        for run_id in (note.get("run_id"), note.get("pipeline")):
            if run_id and store.knows(run_id):
                store.end(run_id, "KILLED")
        path.unlink()


def is_running(root: Path, stage: str) -> bool:
    """Return whether a process on this machine runs the stage; one of the project that this is a copy of does not."""
    path = _running(root, stage)
    note = _read_note(path)
    return bool(note) and note.get("root", str(root.resolve())) == str(root.resolve()) and runs(note["pid"])


def _read_note(path: Path) -> dict[str, Any]:
    """Return what a note says; nothing where there is none, or half of one."""
    try:
        return dict(read_json(path)) if path.exists() else {}
    except (ValueError, TypeError):
        return {}


def _executed(root: Path, stage: str) -> Path:
    return root / WORK / "executed" / f"{stage}.json"


def _running(root: Path, stage: str) -> Path:
    return root / WORK / "running" / f"{stage}.json"
