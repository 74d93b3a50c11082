"""Does a job on a node that does not see the sender's disk: brings what it reads, sends what it leaves."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.execution.parcels import Delivery, NodePlace, Parcel, below, files_of, unpack, with_senders_paths
from infra.execution.process_folder import ProcessFolder
from infra.execution.worker_log import WorkError, attempt
from infra.storage.blob_cache import BlobCache
from infra.storage.blob_store import Blob


def do_parcel(parcel: Parcel) -> Delivery | WorkError:
    """Do a job below a folder of this process's own; return its outcome and what it has left, or what it has raised.

    Raises what BlobStore raises when its files cannot be brought or sent.
    """
    tree = own_folder(parcel.place) / "tree"
    here = below(tree, parcel.root)
    try:
        bring(parcel, tree)
        for folder in (here, *(below(tree, path).parent for path in parcel.writes)):
            folder.mkdir(parents=True, exist_ok=True)
        os.chdir(here)
        work, job = unpack(parcel.content, tree)
        outcome = with_senders_paths(attempt(work, job), tree)
        return outcome if isinstance(outcome, WorkError) else Delivery(outcome, send(parcel, tree))
    finally:
        os.chdir(tree.parent)
        shutil.rmtree(tree, ignore_errors=True)


def bring(parcel: Parcel, tree: Path) -> None:
    """Put what a job reads below `tree`."""
    cache = cache_of(parcel.place)
    for path, blob in parcel.reads.items():
        cache.link(blob, below(tree, path))


def send(parcel: Parcel, tree: Path) -> dict[str, Any]:
    """Put what a job has left into the store; return it by the sender's paths."""
    store = parcel.place.store
    written = [file for path in parcel.writes for file in files_of(below(tree, path))]
    return {f"/{file.relative_to(tree)}": store.put(file, parcel.results) for file in written}


@dataclass(frozen=True)
class NodeCopies:
    """Gives this node's copies of some files, each brought when it is first asked for; pickles."""

    blobs: Mapping[str, Blob]
    """By name."""
    place: NodePlace

    def __call__(self, name: str) -> Path:
        """Return the copy of a file, which stays as long as this process. Raises what BlobStore.get raises."""
        path = own_folder(self.place) / "held" / self.blobs[name].sha256
        if not path.exists():
            cache_of(self.place).link(self.blobs[name], path)
        return path


def node_folder(place: NodePlace) -> Path:
    """Return this node's folder, which is made."""
    folder = Path(tempfile.gettempdir()) / Path(os.path.expandvars(place.folder)).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def cache_of(place: NodePlace) -> BlobCache:
    """Return this node's copies, one object in a process."""
    return BlobCache(place.store, node_folder(place), place.limit_bytes)


@cache
def own_folder(place: NodePlace) -> Path:
    """Return the folder of this process, after removing those of processes that have died."""
    session = ProcessFolder(node_folder(place))
    _SESSIONS.append(session)
    return session.path


_SESSIONS: list[ProcessFolder] = []
"""Held as long as this process lives, since their locks are."""
