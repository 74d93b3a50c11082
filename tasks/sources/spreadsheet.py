"""Reads tables as people save them from spreadsheet programs: UTF-8 or UTF-16, commas, semicolons or tabs."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from render.lfs import REMEDY, STARTS
from render.text_encoding import marked_encoding
from tasks.sources.gunzip import gunzip

_GZIP = b"\x1f\x8b"
_WORKBOOKS = {
    b"PK\x03\x04": "an Excel or OpenDocument workbook (or another zip file)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
}
_REMEDY = 'save it as "CSV UTF-8"'
_DELIMITERS = ",;\t|"
_SEP = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)
"""First line by which a file tells Excel its delimiter."""


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    where: str
    """File and line, for messages."""
    cells: Mapping[str, str]
    """By column; without blanks around."""


@dataclass(frozen=True)
class Table:
    """A table with named columns."""

    name: str
    columns: Sequence[str]
    """In lower case."""
    has_decimal_commas: bool
    """Whether 6,5 can be a number in it: not where the comma divides cells."""
    rows: Iterator[Row]
    """To be read once."""


def read_table(path: Path, name: str | None = None) -> Table:
    """Read a table whose first line names the columns, gzip-compressed or not.

    The encoding follows from the byte order mark or else is UTF-8 or UTF-16; the delimiter (comma, semicolon, tab or
    bar) is the one that the first line has most of, or that a line `sep=;` before it names. Empty rows are left out.

    Args:
        path: The file.
        name: Stands for the file in messages.

    Raises ValueError with file, line and remedy for what cannot be understood, also while the rows are read.
    """
    shown = name or str(path)
    if path.is_dir():
        raise ValueError(f"{shown} is a folder; put a table in its place, or move it away")
    text = _decode(_unpack(path.read_bytes(), shown), shown)
    skipped = 0
    if match := _SEP.match(text):
        delimiter, text, skipped = match[1], text[match.end() :], 1
    else:
        delimiter = max(_DELIMITERS, key=next(filter(str.strip, text.splitlines()), "").count)
    lines = _lines(text, delimiter, shown, skipped)
    _, header = next(lines, ("", []))
    columns = [cell.lower() for cell in header]
    return Table(shown, columns, delimiter != ",", _rows(lines, columns))


def _lines(text: str, delimiter: str, name: str, skipped: int) -> Iterator[tuple[str, list[str]]]:
    """Yield file and line of each line that has a cell with text, and its cells."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{name}, line {reader.line_num + skipped}: {error}; {_REMEDY}") from error
        if cells is None:
            return
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield f"{name}, line {reader.line_num + skipped}", stripped


def _rows(lines: Iterator[tuple[str, list[str]]], columns: Sequence[str]) -> Iterator[Row]:
    for where, cells in lines:
        if any(cells[len(columns) :]):
            raise ValueError(
                f"{where} has {len(cells)} cells, the first line {len(columns)}: put text with commas between quotes, "
                "and write numbers with decimal points, or use semicolons between all cells"
            )
        yield Row(where, dict(zip(columns, cells, strict=False)))


def _unpack(content: bytes, name: str) -> bytes:
    if not content.startswith(_GZIP):
        return content
    try:
        return gunzip(content)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _decode(content: bytes, name: str) -> str:
    for start, kind in _WORKBOOKS.items():
        if content.startswith(start):
            raise ValueError(f"{name} is {kind}, no CSV file, whatever its ending: open it there and {_REMEDY}")
    if content.startswith(STARTS):
        raise ValueError(f"{name} is {REMEDY}")
    encoding = marked_encoding(content) or _utf16_by_zeros(content[:64]) or "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{name}, line {line}: byte {content[error.start]:#04x} is no {encoding.removesuffix('-sig').upper()}; "
            f"{_REMEDY}"
        ) from error


def _utf16_by_zeros(start: bytes) -> str | None:
    """Return the UTF-16 of a file without byte order mark, whose every second byte is zero as long as it is ASCII."""
    if len(start) >= 4 and not any(start[1::2]):
        return "utf-16-le"
    if len(start) >= 4 and not any(start[0::2]):
        return "utf-16-be"
    return None
