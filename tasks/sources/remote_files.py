"""Fetches an object's file and the files that it names, from where they lie beside each other on a server."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from render import gltf
from render.errors import Unrenderable
from render.lfs import is_lfs_pointer
from render.obj.links import statements
from render.obj.materials import read_materials, textures_of
from render.obj.text import read_text
from tasks.ports import Store

MAX_FILES = 256
"""Files that an object may name."""
NAMING = (".gltf", ".obj", ".mtl")
"""Endings of files whose names of others are followed."""


@dataclass(frozen=True)
class Repository:
    """Files on a server, by their paths."""

    url: str
    """Before the path."""
    large: str | None = None
    """Before the path of a file in place of which the server has a git-LFS pointer; None: there are no such files."""

    def fetch(self, path: str, target: Path, store: Store, max_bytes: int | None) -> None:
        """Fetch one file; raises what the store raises."""
        store.fetch(f"{self.url}/{quote(path)}", target, max_bytes=max_bytes)
        if self.large is not None and is_lfs_pointer(target):
            store.fetch(f"{self.large}/{quote(path)}", target, max_bytes=max_bytes)


def fetch_with_others(
    repository: Repository, path: str, folder: Path, store: Store, *, max_bytes: int | None = None
) -> Path:
    """Fetch a file and, one after the other, those that it names, into the same places below `folder`.

    A name that leads out of the repository, or to no file there, is passed over: the renderer says what is missing.

    Returns the path of the file. Raises OSError(EFBIG) when all are larger than `max_bytes` together, and whatever else
    the store raises.
    """
    size, waiting, seen = 0, [path], {path}
    while waiting:
        name = waiting.pop(0)
        target = folder / name
        left = None if max_bytes is None else max_bytes - size
        try:
            repository.fetch(name, target, store, left)
        except FileNotFoundError:
            if name == path:
                raise
            continue
        size += target.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise OSError(errno.EFBIG, f"{size} bytes, the limit is {max_bytes}")
        for other in _names_in(target, name):
            if other not in seen and len(seen) < MAX_FILES:
                seen.add(other)
                waiting.append(other)
    return folder / path


def _names_in(file: Path, path: str) -> Iterator[str]:
    """Yield the paths in the repository of the files that a file names."""
    try:
        names = list(_relative_names(file))
    except (Unrenderable, OSError, ValueError):  # the renderer says why
        return
    for name in names:
        parts: list[str] = list(Path(path).parent.parts)
        for part in name.replace("\\", "/").split("/"):
            if part == "..":
                parts = parts[:-1] if parts else ["/"]
            elif part not in ("", "."):
                parts.append(part)
        if parts and "/" not in parts and not name.startswith("/") and ":" not in name:
            yield "/".join(parts)


def _relative_names(file: Path) -> Iterator[str]:
    match file.suffix.lower():
        case ".gltf":
            yield from gltf.file_names(file)
        case ".obj":
            yield from (name.decode("utf-8", "replace") for name in statements(read_text(file).content, b"mtllib"))
        case ".mtl":
            for material in read_materials(read_text(file).content).values():
                yield from textures_of(material)
