"""What became of one item of a stage: made, turned away with a reason, or broken. Items are never lost in silence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Done:
    """The item was made; `facts` are what later stages and the report want to know of it."""

    uid: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    status: str = field(default="done", init=False)


@dataclass(frozen=True)
class Rejected:
    """The item is not wanted, or cannot be used, for a reason that lies in the item itself."""

    uid: str
    reason: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    status: str = field(default="rejected", init=False)


@dataclass(frozen=True)
class Failed:
    """Making the item went wrong; `log` holds the last lines of what the worker printed."""

    uid: str
    error: str
    log: str = ""
    attempts: int = 1
    status: str = field(default="failed", init=False)


Outcome = Done | Rejected | Failed
