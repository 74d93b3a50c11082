"""Writes which objects were selected, as a list that selects the same ones elsewhere."""

from pathlib import Path

import pyarrow.csv

from tasks.artifacts.atomic import atomic_file
from tasks.artifacts.manifest import Kind, open_manifest
from tasks.artifacts.parquet import write_parquet
from tasks.artifacts.tables import OBJECTS, read_columns
from tasks.commands.export_model import check_new

COLUMNS = ("uid", "score", "split")


def export_selection(selected: Path, out: Path) -> int:
    """Write uid, score and split of each kept object to a CSV or, by its name, Parquet file for `select.list`.

    Returns the number of objects. Raises ValueError when `selected` is not sealed, when `out` exists, and for another
    kind of file.
    """
    open_manifest(selected, Kind.SELECTED)
    check_new(out)
    table = read_columns(selected / OBJECTS, COLUMNS)
    if out.suffix == ".parquet":
        write_parquet(out, table)
    elif out.suffix == ".csv":
        with atomic_file(out) as part:
            pyarrow.csv.write_csv(table, part, pyarrow.csv.WriteOptions(quoting_style="needed"))
    else:
        raise ValueError(f"{out} is neither .csv nor .parquet: name the list so")
    return len(table)
