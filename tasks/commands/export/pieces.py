"""An export is whole or not there. One that was interrupted goes on by the same command."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.artifacts.atomic import atomic_folder, read_json, write_json
from tasks.commands.export.source import Source

RECORD = "export.json"
"""File of every export that says what it holds and what it was made from."""


@contextmanager
def resumable_folder(out: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the folder `OUT.part`, which becomes `out` on success and stays as it is on an error.

    Args:
        out: The folder to make.
        record: What the export is. Unfinished work goes on where it was when its record is the same.

    Raises ValueError when `out` exists, or when `OUT.part` is the unfinished work of another export.
    """
    if out.exists():
        raise ValueError(f"{out} exists; export into another folder, or delete it")
    part = out.with_name(f"{out.name}.part")
    if part.exists() and not ((part / RECORD).exists() and read_json(part / RECORD) == record):
        raise ValueError(f"{part} is no unfinished part of this export; export into another folder, or delete it")
    for torn in part.rglob(".*.part"):  # what a killed process was writing
        shutil.rmtree(torn) if torn.is_dir() else torn.unlink()
    write_json(part / RECORD, record)
    yield part
    part.rename(out)


def write_folders(source: Source, out: Path, write: Callable[[Source, str, Path], None]) -> Iterator[str]:
    """Let `write` fill a folder for each object, named by its uid, unless it is there; yield each object.

    A folder is there whole or not at all.
    """
    for uid in source.uids:
        if not (out / uid).exists():
            with atomic_folder(out / uid) as part:
                write(source, uid, part)
        yield uid
