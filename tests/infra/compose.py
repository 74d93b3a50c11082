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
    filled = yaml.safe_load(VARIABLE.sub(lambda found: _value(found, variables), COMPOSE.read_text()))
    return {
        name: Service(
            [str(word) for word in entry.get("command", [])],
            {key: str(value) for key, value in entry.get("environment", {}).items()},
            entry,
        )
        for name, entry in filled["services"].items()
    }


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, text = found.groups()
    if variables.get(name):
        return variables[name]
    if kind == "?":
        raise ValueError(f"required variable {name} is missing a value: {text}")
    return text or ""
