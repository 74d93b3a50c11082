"""A node's own copies of files of a blob store, as many as its disk is given for them.

Copies are hard links: one that is removed while somebody reads it stays with the reader.
"""

import errno
import os
import shutil
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from infra.storage.blob_store import Blob, BlobStore
from infra.storage.node_cache import LOCAL_FAULTS

COPIES, LOCKS = "copies", "locks"
LOCK_LETTERS = 3
"""Files whose hash begins with the same so many letters are waited for together: that is 4,096 locks."""
SHARE_BETWEEN_COUNTS = 0.01
"""Of the bound, that a process brings before it counts again what all have brought; to count takes seconds."""
SHARE_KEPT = 0.9
"""Of the bound, that is left when files have to go."""


@dataclass
class BlobCache:
    """Brings files of a store to this node's disk, each once while there is room: one process brings it, others wait.

    The files used last stay. All processes of the node share the folder.
    """

    store: BlobStore
    folder: Path
    limit_bytes: int
    """Of all copies together; each process may pass it by a hundredth, and files that are in use do not count."""
    _brought: int | None = field(default=None, init=False)
    """Bytes since this process has counted last; None: it has not."""

    def link(self, blob: Blob, target: Path) -> None:
        """Put a file at `target`, which shares the bytes of the node's copy: nobody may write into it.

        Raises what BlobStore.get raises; OSError says where the disk of the node is full.
        """
        copy = self.folder / COPIES / blob.sha256[:2] / blob.sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with self._lock(blob):
            try:
                os.link(copy, target)
                os.utime(target)
            except FileNotFoundError:
                self._bring(blob, target, copy)

    def _bring(self, blob: Blob, target: Path, copy: Path) -> None:
        try:
            self._make_room(blob.size)
            self.store.get(blob, target)
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(target, copy)
        except OSError as error:
            if error.errno not in LOCAL_FAULTS:
                raise
            raise self._about_disk(error) from error

    def _lock(self, blob: Blob) -> FileLock:
        path = self.folder / LOCKS / blob.sha256[:LOCK_LETTERS]
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path, fallback_to_soft=False)

    def _make_room(self, size: int) -> None:
        """Remove the copies used longest ago when there are more than the bound allows."""
        self._brought = None if self._brought is None else self._brought + size
        if self._brought is not None and self._brought < self.limit_bytes * SHARE_BETWEEN_COUNTS:
            return
        try:
            with FileLock(self.folder / LOCKS / "count", timeout=0, fallback_to_soft=False):
                self._remove_oldest(size)
        except Timeout:  # another process is at it
            return
        self._brought = 0

    def _remove_oldest(self, size: int) -> None:
        copies = [(path, path.stat()) for path in self.folder.glob(f"{COPIES}/*/[0-9a-f]*")]
        idle = sorted(((facts.st_mtime_ns, facts.st_size, path) for path, facts in copies if facts.st_nlink == 1))
        num_bytes = size + sum(facts[1] for facts in idle)
        if num_bytes <= self.limit_bytes:
            return
        for _, one, path in idle:
            if num_bytes <= self.limit_bytes * SHARE_KEPT:
                return
            with suppress(FileNotFoundError):
                path.unlink()
            num_bytes -= one

    def _about_disk(self, error: OSError) -> OSError:
        free = shutil.disk_usage(self.folder).free / 2**20
        text = os.strerror(error.errno or errno.EIO)
        return OSError(
            error.errno,
            f"cannot bring files to {self.folder} on {socket.gethostname()}, where {free:,.0f} MiB are free: {text}; "
            "make room there, or set node_folder or node_folder_gb in the profile",
        )
