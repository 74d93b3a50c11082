"""A job as it travels to a node that does not see this machine's disk, and what comes back of it.

Files travel through a blob store. On the node they lie below a folder of the worker's own, under the path that they
have here; absolute paths inside a job are led there when it is unpickled, and relative ones by the current directory.
"""

import io
import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path, PurePath
from typing import Any, Protocol, TypeVar

from infra.storage.blob_store import Blob, BlobStore

ValueT = TypeVar("ValueT")


class PortableJob(Protocol):
    """One item of work that says which files it reads and which it leaves; it must pickle."""

    @property
    def uid(self) -> str:
        """The item's name."""
        ...

    @property
    def reads(self) -> Sequence[Path]:
        """Files, and folders with all that is in them, that the work reads."""
        ...

    @property
    def writes(self) -> Sequence[Path]:
        """Files and folders that the work may leave, in the order in which they are to arrive."""
        ...


@dataclass(frozen=True)
class NodePlace:
    """Where a node keeps what it works on, and through which store it comes."""

    store: BlobStore
    folder: str
    """Of the node's own disk; a relative one lies in its folder for temporary files."""
    limit_bytes: int
    """Of the copies of files that are kept for later jobs."""


@dataclass(frozen=True)
class Parcel:
    """A job on its way to a node; pickles."""

    uid: str
    content: bytes
    """Work and job as `pack` pickles them."""
    reads: Mapping[str, Blob]
    """By absolute path."""
    writes: Sequence[str]
    """Absolute paths."""
    root: str
    """Current directory of this process."""
    results: str
    """Folder of the store for what is written; no other attempt has it."""
    place: NodePlace


@dataclass(frozen=True)
class Delivery:
    """An outcome on its way back, and the files that came of the work."""

    outcome: Any
    written: Mapping[str, Blob]
    """By absolute path at the sender, in the order in which they are to arrive."""


class _Pickler(pickle.Pickler):
    """Leaves absolute paths to whoever unpickles."""

    def persistent_id(self, obj: Any) -> str | None:
        return str(obj) if isinstance(obj, PurePath) and obj.is_absolute() else None


class _Unpickler(pickle.Unpickler):
    """Leads absolute paths below a folder."""

    def __init__(self, content: bytes, tree: Path) -> None:
        super().__init__(io.BytesIO(content))
        self._tree = tree

    def persistent_load(self, pid: str) -> Path:
        return below(self._tree, pid)


def pack(work: Callable[[Any], Any], job: object) -> bytes:
    """Pickle work and job for `unpack`."""
    content = io.BytesIO()
    _Pickler(content, protocol=pickle.HIGHEST_PROTOCOL).dump((work, job))
    return content.getvalue()


def unpack(content: bytes, tree: Path) -> tuple[Callable[[Any], Any], Any]:
    """Unpickle work and job, with absolute paths led below `tree`."""
    work, job = _Unpickler(content, tree).load()
    return work, job


def below(tree: Path, path: str) -> Path:
    """Return the place of an absolute path of the sender below `tree`."""
    return tree / path.lstrip("/")


def files_of(path: Path) -> Iterator[Path]:
    """Yield a file, or all files below a folder, links followed; nothing where there is neither."""
    if not path.is_dir():
        if path.exists():
            yield path
        return
    for folder, folders, names in os.walk(path, followlinks=True):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names))


def with_senders_paths(value: ValueT, tree: Path) -> ValueT:
    """Return an outcome whose texts name files by the sender's paths instead of those below `tree`."""
    changed: Any = value
    if isinstance(value, str):
        changed = value.replace(f"{tree}/", "/")
    elif isinstance(value, Mapping):
        changed = {key: with_senders_paths(item, tree) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        changed = type(value)(with_senders_paths(item, tree) for item in value)
    elif is_dataclass(value) and not isinstance(value, type):
        given = [field.name for field in fields(value) if field.init]
        changed = replace(value, **{name: with_senders_paths(getattr(value, name), tree) for name in given})
    return changed
