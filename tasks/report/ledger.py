"""What became of every item on its way through the stages: counts, reasons and failed quality gates."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.artifacts.manifest import Manifest, read_ledger
from tasks.outcome import Done, Rejected
from tasks.report.inputs import ReportInputs

LISTED_STAGES = (
    *("catalog", "select", "download", "normalize", "render"),
    *("render-test", "gso-eval", "baselines", "reconstruct"),
)


@dataclass(frozen=True)
class StageLedger:
    """How many items one stage made, rejected and failed on, with the reasons."""

    stage: str
    counts: Mapping[str, int]
    """Number of items that are done, rejected and failed."""
    missing: tuple[tuple[str, str, str], ...]
    """(item, status, reason) of each item that was not made."""
    flags: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(object, quality gate, views that failed it)."""

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Count the missing items per reason, numbers in it aside; the most frequent reason comes first."""
        return Counter(re.sub(r"\d[\d.,]*", "…", reason) for _, _, reason in self.missing).most_common()

    @property
    def gates(self) -> list[tuple[str, int, int]]:
        """List each quality gate with the number of views and of objects that failed it."""
        objects = Counter(gate for _, gate, _ in self.flags)
        return [
            (name, sum(len(views) for _, gate, views in self.flags if gate == name), objects[name])
            for name in sorted(objects)
        ]


def read_ledgers(inputs: ReportInputs, manifests: Mapping[str, Manifest]) -> Iterator[StageLedger]:
    """Yield the ledgers of the stages that handle objects one by one, in the order of the data."""
    folders = {stage: folder for stage, folder, _ in inputs.folders()}
    for stage in LISTED_STAGES:
        rows = read_ledger(folders[stage])
        missing = [
            (row.uid, row.status, row.reason if isinstance(row, Rejected) else row.error)
            for row in rows
            if not isinstance(row, Done)
        ]
        gates: Mapping[str, Any] = {row.uid: row.facts.get("flags", {}) for row in rows if isinstance(row, Done)}
        flags = [(uid, gate, tuple(views)) for uid in gates for gate, views in sorted(gates[uid].items())]
        counts = manifests[stage].counts
        done = counts["done"] or int(manifests[stage].facts.get("objects", 0))
        yield StageLedger(stage, {**counts, "done": done}, tuple(missing), tuple(flags))
