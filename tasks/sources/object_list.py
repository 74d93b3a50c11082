"""Reads lists of objects: which are wanted or unwanted, and perhaps the split of each."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from tasks.artifacts.tables import Split
from tasks.ports import Tools
from tasks.sources.text_columns import read_text_columns

UID, SPLIT = "uid", "split"


@dataclass(frozen=True)
class ObjectList:
    """Objects by name."""

    name: str
    """Where the list came from, for messages."""
    uids: pa.Array
    """Each once."""
    splits: pa.Array | None
    """Of each uid train or val; None: the list has no such column."""

    @property
    def content(self) -> str:
        """A hash of what the list says."""
        rows = zip(
            self.uids.to_pylist(), self.splits.to_pylist() if self.splits is not None else repeat(""), strict=False
        )
        return hashlib.sha256("".join(f"{uid} {split}\n" for uid, split in sorted(rows)).encode()).hexdigest()

    def outside(self, uids: pa.ChunkedArray) -> Sequence[str]:
        """Return the names that are not among `uids`, sorted."""
        names: list[str] = self.uids.filter(pc.invert(pc.is_in(self.uids, value_set=uids))).to_pylist()
        return sorted(names)


def load_object_list(location: str, tools: Tools) -> ObjectList:
    """Return the list at `location`: a CSV or Parquet file, http(s):// or s3:// with the column uid, and maybe split.

    Raises ValueError for a list that cannot be understood, OSError for one that cannot be read.
    """
    copy = tools.work / "list"
    tools.store.fetch(str(Path(location).expanduser()) if location.startswith("~") else location, copy)
    text = read_text_columns(copy, location, (UID, SPLIT))
    if UID not in text.known:
        raise ValueError(f"{location} has columns {list(text.known)}; needed: {UID}, and {SPLIT} if wanted")
    uids = pc.utf8_trim_whitespace(text.table[UID].fill_null("")).combine_chunks()
    _check(pc.not_equal(uids, ""), f"the {UID} is empty", text.where)
    if (num_surplus := len(uids) - len(uids.unique())) > 0:
        raise ValueError(f"{location} names objects more than once, in {num_surplus} rows: keep one row of each")
    if SPLIT not in text.known:
        return ObjectList(location, uids, None)
    splits = text.table[SPLIT].fill_null("").combine_chunks()
    _check(pc.is_in(splits, pa.array(get_args(Split))), f"{SPLIT} must be train or val", text.where)
    return ObjectList(location, uids, splits)


def _check(is_fit: pa.Array, what: str, where: Callable[[int], str]) -> None:
    """Raise ValueError for the first row that does not fit."""
    row = pc.index(is_fit, False).as_py()
    if row >= 0:
        raise ValueError(f"{where(row)}: {what}")
