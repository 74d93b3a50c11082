"""What became of every item on its way through the stages: counts, reasons and failed quality gates."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from tasks.artifacts.ledger_table import LEDGER_TABLE, LedgerTable
from tasks.artifacts.manifest import LEDGER, Manifest, read_ledger
from tasks.outcome import Done, Outcome, Rejected
from tasks.report.inputs import ReportInputs

LISTED_STAGES = (
    *("catalog", "select", "download", "normalize", "render"),
    *("render-test", "gso-eval", "baselines", "reconstruct"),
)
MAX_LISTED = 200
"""Items that are listed by name, per stage."""


@dataclass(frozen=True)
class StageLedger:
    """How many items one stage made, rejected and failed on, with the reasons."""

    stage: str
    counts: Mapping[str, int]
    """Number of items that are done, rejected and failed."""
    missing: tuple[tuple[str, str, str], ...]
    """(item, status, reason) of the first MAX_LISTED items that were not made."""
    reasons: tuple[tuple[str, int], ...]
    """(reason, number of items that were not made for it); the most frequent comes first."""
    flags: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(object, quality gate, views that failed it)."""
    file: str = LEDGER
    """The ledger's name in the folder of the stage."""

    @property
    def num_missing(self) -> int:
        """Number of items that were not made."""
        return self.counts["rejected"] + self.counts["failed"]

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
        counts = manifests[stage].counts
        counts = {**counts, "done": counts["done"] or int(manifests[stage].facts.get("objects", 0))}
        if (folders[stage] / LEDGER_TABLE).exists():
            yield _of_table(stage, counts, folders[stage])
        else:
            yield _of_rows(stage, counts, read_ledger(folders[stage]))


def count_reasons(counted: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Add the counts of reasons that differ in numbers alone; the most frequent comes first."""
    total: Counter[str] = Counter()
    for reason, count in counted.items():
        total[re.sub(r"\d[\d.,]*", "…", reason)] += count
    return tuple(total.most_common())


def _of_rows(stage: str, counts: Mapping[str, int], rows: list[Outcome]) -> StageLedger:
    missing = [
        (row.uid, row.status, row.reason if isinstance(row, Rejected) else row.error)
        for row in rows
        if not isinstance(row, Done)
    ]
    gates: Mapping[str, Any] = {row.uid: row.facts.get("flags", {}) for row in rows if isinstance(row, Done)}
    flags = tuple((uid, gate, tuple(views)) for uid in gates for gate, views in sorted(gates[uid].items()))
    reasons = count_reasons(Counter(reason for _, _, reason in missing))
    return StageLedger(stage, counts, tuple(missing[:MAX_LISTED]), reasons, flags)


def _of_table(stage: str, counts: Mapping[str, int], folder: Path) -> StageLedger:
    table = LedgerTable.read(folder).table
    missing = table.filter(pc.is_valid(table["reason"]))
    counted = {row["values"]: row["counts"] for row in pc.value_counts(missing["reason"]).to_pylist()}
    listed = [(row["uid"], row["status"], row["reason"]) for row in missing.slice(0, MAX_LISTED).to_pylist()]
    return StageLedger(stage, counts, tuple(listed), count_reasons(counted), file=LEDGER_TABLE)
