"""Refuses glTF files that say more than they hold, before a library allocates what they say."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from render.errors import Unrenderable
from render.gltf import file_names
from render.named_files import leads_to_file
from render.obj.lookup import named_file

MAX_WITHOUT_DATA = 50_000_000
"""Elements of accessors that have no data of their own: zeros, or what a compression decodes to."""


def check_document(path: Path, document: Mapping[str, Any]) -> None:
    """Raise Unrenderable when a glTF file would take far more memory than it has bytes, or refers to what is no file.

    A buffer that is a device or a pipe would be read without end. An element of an accessor takes a byte at least,
    so that no accessor has more of them than there are bytes; whether each lies where it should is for the importer.

    Args:
        path: The file.
        document: Its JSON.
    """
    named = [named_file(path, name) for name in file_names(path)]
    files = [file for file in named if leads_to_file(file)]
    for file in named:
        if file not in files and os.path.exists(file):  # noqa: PTH110 (Path.exists raises for names that are too long)
            raise Unrenderable(f"refers to {file.name}, which is no file: put the file itself there")
    size = path.stat().st_size + sum(file.stat().st_size for file in files)
    without_data = 0
    for index, count, has_data in _accessors(document):
        if count < 0 or (has_data and count > size):
            raise Unrenderable(f"accessor {index} has {count} elements, but the file has {size} bytes: it is damaged")
        without_data += 0 if has_data else count
    if without_data > MAX_WITHOUT_DATA:
        raise Unrenderable(
            f"has {without_data} elements without data; at most {MAX_WITHOUT_DATA} are read: simplify it"
        )


def _accessors(document: Mapping[str, Any]) -> Iterator[tuple[int, int, bool]]:
    """Yield index, number of elements and whether there are data, of accessors and of their sparse parts."""
    rows = document.get("accessors")
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict) and isinstance(row.get("count"), int):
            yield index, row["count"], "bufferView" in row
            sparse = row.get("sparse")
            if isinstance(sparse, dict) and isinstance(sparse.get("count"), int):
                yield index, sparse["count"], True
