"""The ledger of a stage that only lists or chooses objects, as a Parquet file.

A catalog's hundreds of thousands of rows are ten times larger and slower as JSON lines, and none of them has facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.artifacts.parquet import write_parquet
from tasks.outcome import Done, Outcome, Rejected

LEDGER_TABLE = "ledger.parquet"
_SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("status", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("reason", pa.dictionary(pa.int32(), pa.string())),
    ]
)


@dataclass(frozen=True)
class LedgerTable:
    """Which objects are done and which are rejected, for which reason."""

    table: pa.Table
    """Columns uid, status (done or rejected) and reason (null where done), sorted by uid."""

    @classmethod
    def of(cls, uids: pa.ChunkedArray | pa.Array, reasons: pa.ChunkedArray | pa.Array) -> "LedgerTable":
        """Make a ledger of uids and of the reason for which each is rejected; null: it is done."""
        status = pc.if_else(pc.is_null(reasons), "done", "rejected")
        table = pa.table([uids, status, reasons], names=_SCHEMA.names)
        return cls(table.cast(_SCHEMA).sort_by("uid"))

    @classmethod
    def of_rows(cls, done: pa.ChunkedArray, rejected: Sequence[Rejected]) -> "LedgerTable":
        """Make a ledger of the uids that are done and of rows that are rejected."""
        uids = pa.chunked_array([*done.chunks, pa.array([row.uid for row in rejected], pa.string())], pa.string())
        reasons = [pa.nulls(len(done), pa.string()), pa.array([row.reason for row in rejected], pa.string())]
        return cls.of(uids, pa.chunked_array(reasons, pa.string()))

    @property
    def counts(self) -> dict[str, int]:
        """Number of objects that are done, rejected and failed."""
        rejected = len(self.table) - self.table["reason"].null_count
        return {"done": len(self.table) - rejected, "rejected": rejected, "failed": 0}

    def rows(self) -> list[Outcome]:
        """Return the outcomes, sorted by uid."""
        pairs = zip(self.table["uid"].to_pylist(), self.table["reason"].to_pylist(), strict=True)
        return [Done(uid) if reason is None else Rejected(uid, reason) for uid, reason in pairs]

    def write(self, folder: Path) -> None:
        """Write the ledger into `folder`."""
        write_parquet(folder / LEDGER_TABLE, self.table)

    @classmethod
    def read(cls, folder: Path) -> "LedgerTable":
        """Read the ledger in `folder`."""
        return cls(pq.read_table(folder / LEDGER_TABLE, partitioning=None))
