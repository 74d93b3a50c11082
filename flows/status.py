"""Shows the last result of every stage, and where the results lie."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from rich.panel import Panel
from rich.table import Table

from flows.plan import Action, plan
from flows.run_records import is_running, read_record
from infra.versioning import Repository
from tasks.artifacts.atomic import read_json
from tasks.artifacts.manifest import MANIFEST

STATES: dict[Action, str] = {"run": "stale", "restore": "stale", "maybe": "stale upstream", "skip": "up to date"}
TRAININGS = ("train-stage1", "train-stage2", "train-stage3")
SHEETS = ("data/views", "data/test_views", "data/samples/*")
MODELS = ("models_out/mask_vae", *(f"models_out/{name}" for name in ("stage1", "stage2", "stage3", "distilled")))
CONFIGS = ("model_index.json", "config.json")
"""One of them lies in every folder of a model: of a pipeline, of a network."""
LOCAL_UI = "http://127.0.0.1:5000"
"""Where `python -m flows ui` shows MLflow unless told otherwise."""
TRAINING_VIEW = "workflowType=machine_learning"
"""Lets MLflow's UI show what belongs to trainings; it opens with what belongs to language models."""
FLAT = "orderByKey=tags.%60mlflow.runName%60&orderByAsc=true"
"""Sorted by name, because runs that are sorted by time hide below the run of their pipeline."""
MESH_ENDINGS = (".glb", ".obj", ".ply")


@dataclass(frozen=True)
class StageStatus:
    """The last result of one stage."""

    stage: str
    state: str
    """running, never run, stale, stale upstream, or up to date."""
    counts: Mapping[str, int]
    """Number of items done, rejected and failed; empty when there is no result here."""
    when: datetime | None
    """When the output was sealed."""
    seconds: float | None
    """Duration of the last execution on this machine."""
    run_id: str
    """Id of the MLflow run; empty when the result came from DVC's cache."""


def stage_status(root: Path) -> list[StageStatus]:
    """Return one row per stage, in running order."""
    outs = {stage.name: stage.outs for stage in Repository(root).stages()}
    rows = []
    for row in plan(root):
        manifests = [root / out / MANIFEST for out in outs[row.stage] if (root / out / MANIFEST).exists()]
        executed = read_record(root, row.stage)
        state = "never run" if row.reasons == ("never run",) else STATES[row.action]
        rows.append(
            StageStatus(
                stage=row.stage,
                state="running" if is_running(root, row.stage) else state,
                counts=read_json(manifests[0])["counts"] if manifests else {},
                when=datetime.fromtimestamp(manifests[0].stat().st_mtime) if manifests else None,
                seconds=executed.seconds if executed else None,
                run_id=executed.run_id if executed else "",
            )
        )
    return rows


def render_status(rows: Iterable[StageStatus]) -> Table:
    """Show the rows as a table for the terminal, with the first digits of MLflow's run ids."""
    table = Table("stage", "state", "done", "rejected", "failed", "when", "took", "run", box=None)
    for row in rows:
        counts = [str(row.counts.get(status, "")) for status in ("done", "rejected", "failed")]
        when = f"{row.when:%m-%d %H:%M}" if row.when else ""
        took = f"{row.seconds:.0f} s" if row.seconds is not None else ""
        table.add_row(row.stage, row.state, *counts, when, took, row.run_id[:8])
    return table


def render_results(root: Path, tracking_uri: str | None = None) -> Panel:
    """Show where the results lie, and how to open them; `tracking_uri` is the profile's."""
    models = [name for name in MODELS if _has_model(root / name)]
    places = {
        "report": _files(root, ["reports"], (".md", ".html")),
        "contact sheets": _folders(root, [f"{name}/sheets" for name in SHEETS], (".png",)),
        "meshes": _folders(root, ["data/meshes"], MESH_ENDINGS),
        "models": models,
        "runs and curves": ["python -m flows ui", *training_links(root, tracking_uri)],
        "stage by stage": ["python -m flows status"],
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # so that links stay whole
    for what, found in places.items():
        table.add_row(what, "\n".join(found) or "none yet")
    return Panel(table, title="Results", title_align="left", expand=False)


def _has_model(folder: Path) -> bool:
    """Whether a folder is sealed and holds a model; that of `distil` holds none while the stage is off."""
    return (folder / MANIFEST).exists() and any((folder / name).exists() for name in CONFIGS)


def deep_links(base: str, experiment: str, runs: Sequence[str]) -> dict[str, str]:
    """Return addresses in MLflow's UI, by what they show: all runs; with trainings, their curves and their comparison.

    Args:
        base: Address of the UI.
        experiment: Id of the experiment.
        runs: Ids of the runs of the trainings to compare.
    """
    top = base.rstrip("/")
    page = f"{top}/#/experiments/{experiment}/runs?{TRAINING_VIEW}&startTime=ALL"
    links = {"all runs": page}
    if runs:
        those = ", ".join(f"'{run}'" for run in runs)
        search = quote(f"attributes.run_id IN ({those})")
        links["curves"] = f"{page}&searchFilter={search}&compareRunsMode=CHART&{FLAT}"
    if len(runs) > 1:
        words = [quote(json.dumps(list(ids), separators=(",", ":"))) for ids in (runs, [experiment])]
        links["side by side"] = f"{top}/#/compare-runs?{TRAINING_VIEW}&runs={words[0]}&experiments={words[1]}"
    return links


def training_links(root: Path, tracking_uri: str | None) -> list[str]:
    """Return `deep_links` of the last trainings as lines, at the profile's server or at `python -m flows ui`.

    Asks no server: ids stand in the records of the stages. Nothing before the first training.
    """
    base = tracking_uri if tracking_uri and tracking_uri.startswith("http") else LOCAL_UI
    records = [read_record(root, stage) for stage in TRAININGS]
    known = [record for record in records if record and record.experiment_id]
    if not known:
        return []
    links = deep_links(base, known[-1].experiment_id, [record.run_id for record in known])
    return [f"{name}: {link}" for name, link in links.items()]


def training_runs(root: Path) -> list[str]:
    """Return the MLflow run ids of the last training of each diffusion stage."""
    found = (read_record(root, stage) for stage in TRAININGS)
    return [executed.run_id for executed in found if executed]


def _files(root: Path, folders: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    paths = (path for folder in folders for path in sorted((root / folder).glob("*")))
    return [str(path.relative_to(root)) for path in paths if path.suffix in endings]


def _folders(root: Path, patterns: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    """Return the folders that match, each with the number of files in it that have one of the endings."""
    lines = []
    for folder in (path for pattern in patterns for path in sorted(root.glob(pattern))):
        count = sum(path.suffix in endings for path in folder.rglob("*"))
        if count:
            lines.append(f"{folder.relative_to(root)}/ ({count} file{'s' * (count > 1)})")
    return lines
