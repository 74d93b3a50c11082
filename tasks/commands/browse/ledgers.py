"""The ledgers of the stages that handle objects one by one, as columns."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from tasks.artifacts.ledger_table import LEDGER_TABLE, LedgerTable
from tasks.artifacts.manifest import LEDGER, MANIFEST

FOLDERS: Mapping[str, str] = {
    "catalog": "catalog",
    "select": "selected",
    "download": "objects",
    "normalize": "normalized",
    "render": "views",
}
"""The folder of each stage below the folder of the data, in the order of the data."""
SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("error", pa.string()),
        ("log", pa.string()),
    ]
)
LEDGER_COLUMNS = pa.schema(
    [("uid", pa.string()), ("status", pa.string()), ("reason", pa.string()), ("log", pa.string())]
)
BLOCK_BYTES = 1 << 24
"""Bytes of a ledger that are read at once; a line, which has the last lines of a log at most, must fit into it."""


def sealed_stages(data: Path) -> dict[str, Path]:
    """Return the folders of the stages that have ended, in the order of the data."""
    return {stage: data / name for stage, name in FOLDERS.items() if (data / name / MANIFEST).exists()}


def read_ledger_columns(folder: Path) -> pa.Table:
    """Read the ledger of a sealed folder as columns: uid, status, reason (or the error) and log, sorted by uid.

    Raises ValueError for a damaged one.
    """
    if (folder / LEDGER_TABLE).exists():
        table = LedgerTable.read(folder).table
        columns = [table["uid"], table["status"].cast(pa.string()), table["reason"].cast(pa.string())]
        return pa.table([*columns, pa.nulls(len(table), pa.string())], schema=LEDGER_COLUMNS)
    path = folder / LEDGER
    if not path.stat().st_size:
        return LEDGER_COLUMNS.empty_table()
    try:
        table = pj.read_json(
            path,
            read_options=pj.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is damaged ({error}); restore it with `dvc checkout`") from error
    reason = pc.coalesce(table["reason"], table["error"])
    return pa.table([table["uid"], table["status"], reason, table["log"]], schema=LEDGER_COLUMNS)
