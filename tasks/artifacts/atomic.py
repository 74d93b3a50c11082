"""Files that are either whole or absent: every write goes to a temporary name, is flushed to disk, then renamed."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LONGEST_NAME = 200
"""Bytes of a file's name that its temporary name repeats: the two must fit into 255, the limit of file systems."""


@contextmanager
def with_filename(path: Path) -> Iterator[None]:
    """Give an OSError that names no file, as a full disk's does, the name of `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # else it has words of its own, which a name would replace
            error.filename = error.filename or str(path)
        raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name.encode("utf-8", "surrogateescape")[:LONGEST_NAME].decode("utf-8", "ignore")
    part = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        with with_filename(path):
            yield part
            with part.open("rb") as handle:
                os.fsync(handle.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder`; on success it becomes `folder`, on any error it is removed.

    What a killed process has left of it is removed first.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_file(path) as part:
        part.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON with sorted keys, so that equal content is equal bytes."""
    write_bytes(path, (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_bytes())


def hard_link(source: Path, target: Path) -> None:
    """Put `source` at `target` without a second copy where the file system allows it (hard link)."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with atomic_file(target) as part:
            shutil.copyfile(source, part)
