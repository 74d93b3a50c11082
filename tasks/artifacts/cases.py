"""Cases: whose predictions, of which views, from how many given ones, and with which test set they are compared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from render.views import ViewKind
from tasks.artifacts.manifest import Kind, open_manifest

VIEWS, MESHES = "views", "meshes"
"""Folders of predictions that are not samples: a view set per case (Kind.SAMPLES), `<case>/<uid>.ply` (Kind.MESHES)."""
OWN = "own"
"""Key of the facts of an object in a case's ledger: scores that whoever made the prediction has measured."""
Protocol = Literal["sparse", "ring", "gso"]
"""32 targets aligned to the first condition view; SyncDreamer's 16 ring views rendered here; the 16 of its files."""
TestSet = Literal["test_views", "gso_eval"]
"""Name of a sealed folder of true views with `meshes/<uid>.ply`: what the stage of the same name makes."""
TEST_SETS: Mapping[Protocol, TestSet] = {"sparse": "test_views", "ring": "test_views", "gso": "gso_eval"}
"""The test set that each protocol is compared with."""
TEST_SET_STAGES: Mapping[TestSet, str] = {"test_views": "render-test", "gso_eval": "gso-eval"}
"""The stage that makes each test set."""
DISTILLED = "distilled"
"""The method that stage 3 is distilled into (stage distil)."""
SEVERAL_VIEWS = ("stage3", DISTILLED)
"""The models of this project that are given several condition views."""


@dataclass(frozen=True)
class Case:
    """A set of predictions, one row of the result tables: a method, a protocol and a number of condition views."""

    method: str
    """A training stage (stage1..3), distilled, a baseline, or the name of somebody else's method."""
    protocol: Protocol
    conditions: int

    @property
    def name(self) -> str:
        """Name of the case's folder, e.g. stage3-sparse-4."""
        return f"{self.method}-{self.protocol}-{self.conditions}"

    @property
    def test_set(self) -> TestSet:
        """The test set whose views and meshes are the case's truth."""
        return TEST_SETS[self.protocol]

    @property
    def scored(self) -> ViewKind:
        """Kind of the views that are compared with the truth."""
        return ViewKind.TARGET if self.protocol == "sparse" else ViewKind.RING

    @property
    def copied(self) -> str:
        """The true view that the baseline "copy the condition image" shows everywhere."""
        return (ViewKind.CONDITION if self.protocol == "sparse" else ViewKind.RING).view_name(0)

    def as_json(self) -> dict[str, Any]:
        """Return all fields and the name, as a manifest has them."""
        return {"name": self.name, **asdict(self)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Case":
        """Read what `as_json` wrote; the name is ignored, because it follows from the fields."""
        return cls(row["method"], row["protocol"], row["conditions"])


def sampled_cases(samples: Path) -> list[Case]:
    """Return the cases of a folder of samples in the order in which they were sampled.

    Raises ValueError when the folder is not sealed.
    """
    return [Case.from_json(row) for row in open_manifest(samples, Kind.SAMPLES).facts["cases"]]
