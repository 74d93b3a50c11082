"""What infra/deploy/compose.yaml says of a service, with its variables filled in as Docker Compose does it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.project_copy import ROOT

COMPOSE = ROOT / "infra" / "deploy" / "compose.yaml"
VARIABLE = re.compile(r"\$\{(\w+)(?::(-|\?)([^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """A service: what runs, and the environment that its container is given."""

    command: list[str]
    environment: dict[str, str]
    definition: Mapping[str, Any]


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    """Return every service of the file by name.

    Raises ValueError with the file's own words for a variable that is needed and missing or empty.
    """
    filled = _filled(yaml.safe_load(COMPOSE.read_text()), variables)
    return {
        name: Service(
            [str(word) for word in entry.get("command", [])],
            {key: str(value) for key, value in entry.get("environment", {}).items()},
            entry,
        )
        for name, entry in filled["services"].items()
    }


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    """Fill in the variables of every text; an empty one stays a text, as it does for Compose."""
    if isinstance(node, dict):
        return {key: _filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, variables) for value in node]
    return VARIABLE.sub(lambda found: _value(found, variables), node) if isinstance(node, str) else node


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, text = found.groups()
    if variables.get(name):
        return variables[name]
    if kind == "?":
        raise ValueError(f"required variable {name} is missing a value: {text}")
    return text or ""
