"""Cases: which model was asked for which views, given how many. `sample` makes them, later stages go through them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from render.views import ViewKind
from tasks.artifacts.manifest import Kind, open_manifest


@dataclass(frozen=True)
class Case:
    """A set of samples, one row of the result tables: a training stage, a protocol and a number of condition views."""

    stage: str
    protocol: Literal["sparse", "ring"]
    conditions: int

    @property
    def name(self) -> str:
        """Name of the case's folder, e.g. stage3-sparse-4."""
        return f"{self.stage}-{self.protocol}-{self.conditions}"

    @property
    def scored(self) -> ViewKind:
        """Kind of the views that are compared with the truth."""
        return ViewKind.RING if self.protocol == "ring" else ViewKind.TARGET

    @property
    def copied(self) -> str:
        """The true view that the baseline "copy the condition image" shows everywhere."""
        return (ViewKind.RING if self.protocol == "ring" else ViewKind.CONDITION).view_name(0)

    def as_json(self) -> dict[str, Any]:
        """Return all fields and the name, as a manifest has them."""
        return {"name": self.name, **asdict(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Case":
        """Read what `as_json` wrote; the name is ignored, because it follows from the fields."""
        return cls(row["stage"], row["protocol"], row["conditions"])


def sampled_cases(samples: Path) -> list[Case]:
    """Return the cases of a folder of samples in the order in which they were sampled.

    Raises ValueError when the folder is not sealed.
    """
    return [Case.from_json(row) for row in open_manifest(samples, Kind.SAMPLES).facts["cases"]]
