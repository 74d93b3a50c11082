"""Predicts what `dvc repro` would do, stage by stage, and why. Starts nothing, takes no lock, needs no data."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from infra.versioning import Change, Repository

Action = Literal["run", "restore", "maybe", "skip"]
COLOURS: dict[Action, str] = {"run": "yellow", "restore": "cyan", "maybe": "magenta", "skip": "green"}

VERBS: dict[Action, str] = {"run": "runs", "restore": "is restored", "maybe": "may run"}


@dataclass(frozen=True)
class PlanRow:
    """What `dvc repro` would do with one stage.

    run: its command runs. restore: DVC holds the result of exactly these inputs and fetches it. maybe: an upstream
    stage is made again first, and its result decides. skip: it is up to date.
    """

    stage: str
    action: Action
    reasons: tuple[str, ...]


def plan(root: Path, targets: Iterable[str] = ()) -> list[PlanRow]:
    """Return one row per stage, in running order: all stages, or `targets` and what they need.

    Raises ValueError for a target that is not a stage.
    """
    repository = Repository(root)
    actions: dict[str, Action] = {}
    rows = []
    for stage in repository.stages(targets):
        changes = repository.changes(stage.name)
        awaited = {name: actions[name] for name in stage.upstream if actions[name] != "skip"}
        actions[stage.name] = _action(repository, stage.name, changes, set(awaited.values()))
        reasons = [_sentence(change) for change in changes]
        if awaited and not changes:
            reasons = ["maybe: upstream " + ", ".join(f"`{name}` {VERBS[action]}" for name, action in awaited.items())]
        rows.append(PlanRow(stage.name, actions[stage.name], tuple(reasons)))
    return rows


def render_plan(rows: Iterable[PlanRow]) -> Table:
    """Show the plan as a table for the terminal."""
    table = Table("stage", "action", "why", title="What `dvc repro` would do", title_justify="left", box=None)
    for row in rows:
        table.add_row(row.stage, f"[{COLOURS[row.action]}]{row.action}[/]", "\n".join(row.reasons))
    return table


def _action(repository: Repository, stage: str, changes: list[Change], upstream: set[Action]) -> Action:
    if not changes:
        return "maybe" if upstream else "skip"
    if upstream <= {"restore"} and repository.is_restorable(stage):
        return "restore"
    return "run"


def _sentence(change: Change) -> str:
    match change.kind:
        case "never run":
            return "never run"
        case "always":
            return "runs every time"
        case "command":
            return f"command: {change.old} -> {change.new}"
        case "parameter":
            old = "absent" if change.what == "new" else repr(change.old)
            new = "absent" if change.what == "deleted" else repr(change.new)
            return f"{change.name}: {old} -> {new}"
        case _:
            return f"{change.name} {_file_word(change)}"


def _file_word(change: Change) -> str:
    words = {"modified": "changed", "deleted": "missing", "new": "is not recorded in dvc.lock"}
    return words.get(change.what, "is missing from DVC's cache")
