"""Tables of objects as Parquet files: what there is, what was kept, what was downloaded.

Whoever needs a few columns of many objects reads them as an Arrow table (`read_columns`); whoever handles objects one
by one reads rows. The tables know no source and no network.
"""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from render.axes import UpAxis
from tasks.artifacts.catalog_columns import CATALOG, SELECTED
from tasks.artifacts.parquet import write_parquet

OBJECTS = "objects.parquet"
CLAIMS = "scores.parquet"
"""What each of a catalog's tables of scores says of an object: uid, table, column, value."""
Split = Literal["train", "val"]

MAX_UID = 80
"""Letters of the longest uid: with the longest ending of a member it fits into a tar header's 100 bytes."""
_UID = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_UID}}}")


@dataclass(frozen=True)
class Entry:
    """One object of a catalog."""

    uid: str
    """Names files and table rows everywhere: letters, digits, `_` and `-`."""
    location: str
    """Where it lies, in the words of its source; never an absolute path or a server's name."""
    score: float | None
    """Aesthetic score; None: nobody scored it."""
    title: str
    license: str
    source: str
    author: str = field(default="", kw_only=True)
    up_axis: UpAxis | None = field(default=None, kw_only=True)
    """Axis of the file that points up; None: the one that its format says."""
    sha256: str | None = field(default=None, kw_only=True)
    """Of its file, as the source's index says; what was downloaded is compared with it. None: nobody said it."""

    def __post_init__(self) -> None:
        check_uid(self.uid)


@dataclass(frozen=True)
class SelectedEntry(Entry):
    """One object that was kept, with the split that it belongs to."""

    split: Split


@dataclass(frozen=True)
class ObjectFile:
    """One downloaded object: its files on disk and what is known of it."""

    uid: str
    file: str
    """Main file, relative to the folder of objects."""
    sha256: str
    """Of the file; of an object of several files, of the list of their names and hashes."""
    bytes: int
    """All its files together."""
    split: Split
    score: float | None
    title: str
    license: str
    author: str = field(default="", kw_only=True)
    source: str = field(default="", kw_only=True)
    up_axis: UpAxis | None = field(default=None, kw_only=True)

    @property
    def content(self) -> tuple[str, ...]:
        """What Blender reads: the hash and, where one was given, the up axis; all that measuring it depends on."""
        return (self.sha256, *filter(None, [self.up_axis]))

    def path(self, folder: Path) -> Path:
        """Path of the main file below `folder`."""
        return folder / self.file

    def all_files(self, folder: Path) -> Path:
        """The main file, or the folder of an object of several files, below `folder`."""
        return folder.joinpath(*Path(self.file).parts[:2])


def check_uid(uid: str) -> None:
    """Raise ValueError unless `uid` can safely name a file."""
    if not _UID.fullmatch(uid):
        raise ValueError(f"object uid {uid!r} must be 1 to {MAX_UID} letters, digits, '_' or '-': rename the object")


def folder_of(uid: str) -> str:
    """Return the folder that `uid` belongs to: two hex digits, so that a folder holds about 1/256 of the objects."""
    return hashlib.sha256(uid.encode()).hexdigest()[:2]


def in_columns_of(schema: pa.Schema, columns: Mapping[str, Any], num_rows: int) -> pa.Table:
    """Return a table of all columns of `schema`, with null in those that are not given."""
    rest = {column.name: pa.nulls(num_rows, column.type) for column in schema if column.name not in columns}
    return pa.Table.from_pydict({**columns, **rest}, schema)


def catalog_table(entries: Sequence[Entry]) -> pa.Table:
    """Return entries as a catalog's table, in their order, with null in the columns that an entry does not have."""
    return _as_table(entries, Entry, CATALOG)


def entries_of(table: pa.Table) -> list[Entry]:
    """Return the rows of a catalog's table, as far as an entry has them."""
    return _as_rows(table, Entry)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table sorted by uid; equal tables are equal bytes.

    Raises ValueError for a uid that cannot name a file, or that two rows have.
    """
    uids = table["uid"]
    fit = pc.match_substring_regex(uids, f"^{_UID.pattern}$")
    if not pc.all(fit).as_py():
        check_uid(uids.filter(pc.invert(fit))[0].as_py())
    before, after = uids.slice(0, max(0, len(uids) - 1)), uids.slice(1)
    if not pc.all(pc.less(before, after)).as_py():
        table = table.sort_by("uid")
        ordered = table["uid"]
        twice = pc.index(pc.equal(ordered.slice(0, len(uids) - 1), ordered.slice(1)), True).as_py()
        if twice >= 0:
            raise ValueError(f"two objects of {path} have the uid {ordered[twice].as_py()}: rename one")
    write_parquet(path, table)


def read_columns(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read columns of a table of objects, by default all; the rows are sorted by uid.

    Raises ValueError where the table is not there or lacks a column: an earlier version made it.
    """
    if not path.exists():
        raise ValueError(f"{path} does not exist; an earlier version made this folder: run its stage again")
    known = pq.read_schema(path).names
    missing = [name for name in columns or () if name not in known]
    if missing:
        raise ValueError(f"{path} has columns {known}, expected also {missing}: run its stage again")
    return pq.read_table(path, columns=None if columns is None else list(columns), partitioning=None)


def read_where(path: Path, is_kept: pa.ChunkedArray) -> pa.Table:
    """Read the rows of a table of objects for which `is_kept`, a value for each row, is true; all columns of them."""
    parts, start = [], 0
    for batch in pq.ParquetFile(path).iter_batches():
        parts.append(batch.filter(is_kept.slice(start, len(batch)).combine_chunks()))
        start += len(batch)
    return pa.Table.from_batches(parts, pq.read_schema(path))


def write_entries(path: Path, entries: Sequence[Entry]) -> None:
    """Write a catalog, sorted by uid."""
    write_table(path, catalog_table(entries))


def read_entries(path: Path) -> list[Entry]:
    """Read a catalog."""
    return _read(path, Entry)


def write_selected(path: Path, entries: Sequence[SelectedEntry]) -> None:
    """Write the kept objects, sorted by uid."""
    write_table(path, _as_table(entries, SelectedEntry, SELECTED))


def read_selected(path: Path) -> list[SelectedEntry]:
    """Read the kept objects."""
    return _read(path, SelectedEntry)


def write_objects(path: Path, files: Sequence[ObjectFile]) -> None:
    """Write the table of downloaded objects, sorted by uid."""
    write_table(path, _as_table(files, ObjectFile, OBJECT_FILES))


def read_objects(path: Path) -> list[ObjectFile]:
    """Read the table of downloaded objects."""
    return _read(path, ObjectFile)


OBJECT_FILES = pa.schema(
    [
        ("uid", pa.string()),
        ("file", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        *((name, SELECTED.field(name).type) for name in ("split", "score", "title", "license", "author", "source")),
        ("up_axis", pa.string()),
    ]
)
RowT = TypeVar("RowT", Entry, SelectedEntry, ObjectFile)


def _as_table(rows: Sequence[RowT], kind: type[RowT], schema: pa.Schema) -> pa.Table:
    names = {column.name for column in fields(kind)}
    columns = {
        column.name: pa.array([getattr(row, column.name) for row in rows], column.type)
        for column in schema
        if column.name in names
    }
    return in_columns_of(schema, columns, len(rows))


def _as_rows(table: pa.Table, kind: type[RowT]) -> list[RowT]:
    names = _names_in(table.column_names, kind)
    columns = [table[name].to_pylist() for name in names]
    return [kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def _read(path: Path, kind: type[RowT]) -> list[RowT]:
    known = pq.read_schema(path).names if path.exists() else []
    return _as_rows(read_columns(path, _names_in(known, kind)), kind)


def _names_in(known: Collection[str], kind: type[RowT]) -> list[str]:
    """Return the columns of a row; one with a default may be lacking in a table that an earlier version made."""
    return [column.name for column in fields(kind) if column.default is MISSING or column.name in known]
