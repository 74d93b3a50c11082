"""Tables of others as columns of text, from CSV files as spreadsheet programs save them or from Parquet files."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.sources.gunzip import MAX_BYTES
from tasks.sources.spreadsheet import Table, read_table

_PARQUET = b"PAR1"
MAX_ROWS = 50_000_000
"""Objaverse-XL has ten million objects."""


@dataclass(frozen=True)
class TextColumns:
    """Columns of a table, with every value as text."""

    name: str
    """Stands for the file in messages."""
    known: Collection[str]
    """All columns of the file, in lower case."""
    table: pa.Table
    """Those that were asked for and are there, in lower case. Null: a row that ends before; empty: no value."""
    where: Callable[[int], str]
    """Returns file and line of a row, for messages."""
    has_decimal_commas: bool = False


def read_text_columns(path: Path, name: str, wanted: Collection[str]) -> TextColumns:
    """Read columns from a CSV file (tasks.sources.spreadsheet) or a Parquet file.

    Raises ValueError with file, line and remedy for what cannot be understood.
    """
    with path.open("rb") as file:
        is_parquet = file.read(len(_PARQUET)) == _PARQUET
    return _of_parquet(path, name, wanted) if is_parquet else text_columns_of(read_table(path, name), wanted)


def text_columns_of(table: Table, wanted: Collection[str]) -> TextColumns:
    """Return columns of a spreadsheet's table, whose rows are read by this."""
    columns: dict[str, list[str | None]] = {column: [] for column in table.columns if column in wanted}
    places = []
    for row in table.rows:
        places.append(row.where)
        for column, values in columns.items():
            values.append(row.cells.get(column))
    texts = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    return TextColumns(table.name, table.columns, texts, places.__getitem__, table.has_decimal_commas)


def _bounded(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns of a Parquet file piece by piece: one value may stand a million times in a few bytes.

    Raises ValueError when they take more than MAX_BYTES.
    """
    file = pq.ParquetFile(path)
    batches, num_bytes = [], 0
    for batch in file.iter_batches(columns=list(columns)):
        num_bytes += batch.nbytes
        if num_bytes > MAX_BYTES or file.metadata.num_rows > MAX_ROWS:
            raise pa.ArrowInvalid(
                f"its {file.metadata.num_rows} rows take more than {MAX_BYTES} bytes, or are more than {MAX_ROWS}"
            )
        batches.append(batch)
    schema = pa.schema([file.schema_arrow.field(column) for column in columns])
    return pa.Table.from_batches(batches, schema)


def _of_parquet(path: Path, name: str, wanted: Collection[str]) -> TextColumns:
    try:
        names = pq.read_schema(path).names
        given = {column.lower(): column for column in names if column.lower() in wanted}
        table = _bounded(path, list(given.values()))
        texts = {column: table[original].cast(pa.string()).fill_null("") for column, original in given.items()}
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{name} cannot be read as a Parquet file: {error}; fetch it again") from error
    return TextColumns(
        name, [column.lower() for column in names], pa.table(texts), lambda row: f"{name}, row {row + 1}"
    )
