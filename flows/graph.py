"""dvc.yaml and prefect.yaml as flows/pipeline.py states them: written from its tables, and compared with them by value.

Comments, metrics, plots and everything else in the two files that is not a stage or a deployment stays as it is.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from flows.pipeline import FLOWS, STAGES
from flows.stage import Flow, Stage, Trigger
from tasks.artifacts.atomic import write_bytes

LINE = 120
"""Characters; a longer list is written with one item per line."""


def dvc_stages(stages: Iterable[Stage]) -> dict[str, dict[str, Any]]:
    """Return the section `stages` of dvc.yaml."""
    return {
        stage.name: {
            "desc": stage.description,
            "cmd": stage.command,
            **({"deps": list(stage.deps)} if stage.deps else {}),
            "params": list(stage.params),
            "outs": [stage.out.as_posix()],
            "meta": {"prefect": asdict(stage.policy)},
        }
        for stage in stages
    }


def prefect_deployments(flows: Iterable[Flow], work_pool: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the section `deployments` of prefect.yaml; all use one work pool and run one at a time."""
    return [
        {
            "name": "local",
            "entrypoint": flow.entrypoint,
            "description": flow.description,
            "concurrency_limit": 1,
            "tags": [work_pool["name"]],
            **({"schedules": [_schedule(flow.schedule)]} if flow.schedule else {}),
            **({"triggers": [_trigger(flow, trigger) for trigger in flow.triggers]} if flow.triggers else {}),
            "work_pool": work_pool,
        }
        for flow in flows
    ]


def _schedule(cron: str) -> dict[str, Any]:
    return {"slug": "by-clock", "cron": cron, "timezone": "UTC", "active": False}


def _trigger(flow: Flow, trigger: Trigger) -> dict[str, Any]:
    return {
        "name": f"{flow.name}/{trigger.name}",
        "description": trigger.description,
        "enabled": trigger.enabled,
        "expect": [trigger.event],
    }


def stale_files(root: Path) -> list[str]:
    """Names of the files under `root` that say something else than the tables."""
    return [name for name, edit in EDITS.items() if _edited((root / name).read_text(), edit)[0]]


def write_files(root: Path) -> list[str]:
    """Bring the files under `root` to what the tables say; return the names of those that changed."""
    stale = stale_files(root)
    for name in stale:
        write_bytes(root / name, _edited((root / name).read_text(), EDITS[name])[1].encode())
    return stale


def _edited(text: str, edit: Callable[[CommentedMap], None]) -> tuple[bool, str]:
    """Whether `edit` changes a value, and the file with the edit."""
    parser = YAML()
    parser.preserve_quotes = True
    parser.width = 4096
    parser.indent(mapping=2, sequence=4, offset=2)
    content = parser.load(text)
    edit(content)
    out = io.StringIO()
    parser.dump(content, out)
    # as JSON, because the order of stages is one in which they are shown and run
    before, after = (json.dumps(YAML(typ="safe").load(written)) for written in (text, out.getvalue()))
    return before != after, out.getvalue()


def _set_stages(content: CommentedMap) -> None:
    stages = dvc_stages(STAGES.values())
    content["stages"] = CommentedMap((name, CommentedMap(_styled(stage))) for name, stage in stages.items())


def _set_deployments(content: CommentedMap) -> None:
    deployments = prefect_deployments(FLOWS, content["definitions"]["here"])
    content["deployments"] = CommentedSeq(CommentedMap(row) for row in deployments)


def _styled(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: _on_one_line(value) if isinstance(value, list | dict) else value for key, value in stage.items()}


def _on_one_line(value: Any) -> Any:
    """The list or mapping in YAML's flow style where that fits into a line."""
    node = CommentedSeq(value) if isinstance(value, list) else CommentedMap(value)
    if len(str(value)) <= LINE:
        node.fa.set_flow_style()
    return node


EDITS: dict[str, Callable[[CommentedMap], None]] = {"dvc.yaml": _set_stages, "prefect.yaml": _set_deployments}
