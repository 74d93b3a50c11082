"""Tables of objects: what there is, what was kept, what was downloaded. They know no source and no network."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from render.axes import UpAxis, parse_up_axis
from tasks.artifacts.atomic import write_bytes

OBJECTS = "objects.csv"
UP_AXIS = "up_axis"
"""Column that a table has only where an object has an up axis of its own."""
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
    up_axis: UpAxis | None = field(default=None, kw_only=True)
    """Axis of the file that points up; None: the one that its format says."""

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


def write_entries(path: Path, entries: Iterable[Entry]) -> None:
    """Write a catalog, sorted by uid."""
    _write(path, list(entries), Entry)


def read_entries(path: Path) -> list[Entry]:
    """Read a catalog."""
    return _read(path, Entry)


def write_selected(path: Path, entries: Iterable[SelectedEntry]) -> None:
    """Write the kept objects, sorted by uid."""
    _write(path, list(entries), SelectedEntry)


def read_selected(path: Path) -> list[SelectedEntry]:
    """Read the kept objects."""
    return _read(path, SelectedEntry)


def write_objects(path: Path, files: Iterable[ObjectFile]) -> None:
    """Write the table of downloaded objects, sorted by uid."""
    _write(path, list(files), ObjectFile)


def read_objects(path: Path) -> list[ObjectFile]:
    """Read the table of downloaded objects."""
    return _read(path, ObjectFile)


RowT = TypeVar("RowT", Entry, SelectedEntry, ObjectFile)


def _write(path: Path, rows: Sequence[RowT], kind: type[RowT]) -> None:
    text = io.StringIO()
    given = [column.name for column in fields(kind) if column.name != UP_AXIS or any(row.up_axis for row in rows)]
    table = csv.DictWriter(text, given, lineterminator="\n", extrasaction="ignore")
    table.writeheader()
    table.writerows(asdict(row) for row in sorted(rows, key=lambda row: row.uid))
    write_bytes(path, text.getvalue().encode())


def _read(path: Path, kind: type[RowT]) -> list[RowT]:
    columns = [column.name for column in fields(kind)]
    with path.open(encoding="utf-8", newline="") as handle:
        table = csv.DictReader(handle)
        if table.fieldnames not in (columns, [column for column in columns if column != UP_AXIS]):
            raise ValueError(f"{path} has columns {table.fieldnames}, expected {columns}: run its stage again")
        return [kind(**_parsed(row)) for row in table]


def _parsed(row: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {**row, "score": float(row["score"]) if row["score"] else None}
    values[UP_AXIS] = parse_up_axis(row[UP_AXIS]) if row.get(UP_AXIS) else None
    return values | {"bytes": int(row["bytes"])} if "bytes" in row else values
