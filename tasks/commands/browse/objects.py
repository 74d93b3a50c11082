"""All objects of a data set as columns: where each stands, why, and what is known of it. Searched by whole columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.artifacts.licences import licence_names
from tasks.artifacts.tables import OBJECTS
from tasks.commands.browse.ledgers import read_ledger_columns, sealed_stages
from tasks.report.ledger import count_reasons

FACTS = ("title", "author", "license", "source", "score", "split", "lvis_category", "tags", "categories", "num_faces")
"""What is shown of an object, as far as a table of the data has it."""
TABLES = ("objects", "selected", "catalog")
"""Folders with tables of objects; those with fewer objects know more of them."""
WORDS = ("uid", "title", "author", "lvis_category", "tags", "categories")
"""What is searched."""
NOWHERE = -1


@dataclass(frozen=True)
class Query:
    """What is looked for; an empty field is no condition."""

    words: str = ""
    """Parts of uid, title, author, category or tags, all of which must occur; case does not matter."""
    stage: str = ""
    """The last stage that an object came to."""
    status: str = ""
    """What became of it there: done, rejected or failed."""
    split: str = ""
    licence: str = ""
    reason: str = ""
    """A part of the reason, in which … stands for any number."""


@dataclass(frozen=True)
class StageCount:
    """What became of the objects of a stage."""

    stage: str
    counts: Mapping[str, int]
    """Objects by status."""
    reasons: Sequence[tuple[str, int]]
    """Why objects were lost here, the most frequent reason first; numbers in them are …."""


@dataclass(frozen=True)
class ObjectTable:
    """All objects of a data set, sorted by uid."""

    table: pa.Table
    """Columns uid, stage, status, reason, log, those of FACTS (null where unknown), licence and words."""
    stages: Sequence[StageCount]

    def search(self, query: Query) -> pa.Table:
        """Return the objects that a query is true of, sorted by uid."""
        kept = self.table
        for column in ("stage", "status", "split", "licence"):
            if value := getattr(query, column):
                kept = kept.filter(pc.equal(kept[column], value))
        for word in query.words.lower().split():
            kept = kept.filter(pc.match_substring(kept["words"], word))
        if query.reason:
            kept = kept.filter(pc.match_substring_regex(kept["reason"], _pattern(query.reason)))
        return kept

    def row(self, uid: str) -> dict[str, Any] | None:
        """Return what is known of an object; None: there is no such one."""
        at = pc.index(self.table["uid"], uid).as_py()
        return None if at < 0 else {name: self.table[name][at].as_py() for name in self.table.column_names}

    def values(self, column: str) -> list[str]:
        """Return the values of a column, the most frequent first."""
        counted = [row for row in pc.value_counts(self.table[column]).to_pylist() if row["values"]]
        return [row["values"] for row in sorted(counted, key=lambda row: (-row["counts"], row["values"]))]


def read_object_table(data: Path) -> ObjectTable:
    """Read the ledgers and tables below a folder of data, those of stages that have ended.

    Raises ValueError when no stage has, or a file is damaged.
    """
    stages = sealed_stages(data)
    if not stages:
        raise ValueError(
            f"{data} holds no stage that has ended: name the folder that `python -m flows run` writes into"
        )
    ledgers = {stage: read_ledger_columns(folder) for stage, folder in stages.items()}
    uids = pc.unique(pa.chunked_array([chunk for one in ledgers.values() for chunk in one["uid"].chunks], pa.string()))
    uids = uids.take(pc.sort_indices(uids))
    table = _last_rows(uids, ledgers)
    for name, column in _facts(uids, data).items():
        table = table.append_column(name, column)
    table = table.append_column("licence", licence_names(pc.fill_null(table["license"], "")))
    searched = [pc.fill_null(table[name].cast(pa.string()), "") for name in WORDS]
    table = table.append_column("words", pc.utf8_lower(pc.binary_join_element_wise(*searched, " ")))
    return ObjectTable(table.combine_chunks(), [_count(stage, one) for stage, one in ledgers.items()])


def _last_rows(uids: pa.Array, ledgers: Mapping[str, pa.Table]) -> pa.Table:
    """Return for each object the row of the last ledger that has it, with the stage."""
    row_of, offset = np.full(len(uids), NOWHERE, np.int64), 0
    for ledger in ledgers.values():
        row_of[pc.index_in(ledger["uid"], uids).to_numpy()] = offset + np.arange(len(ledger))
        offset += len(ledger)
    named = [
        ledger.append_column("stage", pa.repeat(pa.scalar(stage), len(ledger))) for stage, ledger in ledgers.items()
    ]
    return pa.concat_tables(named).take(row_of)


def _facts(uids: pa.Array, data: Path) -> dict[str, pa.ChunkedArray | pa.Array]:
    """Return the columns of FACTS: of each object the value of the first table that has one."""
    found: dict[str, Any] = {name: pa.nulls(len(uids), pa.string()) for name in FACTS}
    for folder in TABLES:
        path = data / folder / OBJECTS
        if not path.exists():
            continue
        known = [name for name in FACTS if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=["uid", *known], partitioning=None)
        at = pc.index_in(uids, table["uid"].combine_chunks())
        for name in known:
            column = table[name]
            if pa.types.is_list(column.type):
                column = pc.binary_join(column, ", ")
            found[name] = pc.coalesce(found[name], column.take(at).cast(pa.string()))
    return found


def _count(stage: str, ledger: pa.Table) -> StageCount:
    counts = {row["values"]: row["counts"] for row in pc.value_counts(ledger["status"]).to_pylist()}
    lost = pc.drop_null(ledger["reason"])
    counted = {row["values"]: row["counts"] for row in pc.value_counts(lost).to_pylist()}
    return StageCount(stage, counts, count_reasons(counted))


def _pattern(reason: str) -> str:
    return r"\d[\d.,]*".join(map(re.escape, reason.split("…")))
