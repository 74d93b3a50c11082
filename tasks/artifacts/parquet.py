"""Arrow tables as Parquet files, whole or absent."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.artifacts.atomic import atomic_file

ROWS_PER_GROUP = 1 << 16
"""Rows that a file keeps together."""


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table; equal tables are equal bytes."""
    with atomic_file(path) as part:
        pq.write_table(table, part, compression="zstd", row_group_size=ROWS_PER_GROUP)
