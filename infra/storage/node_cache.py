"""A cache of remote files on this node's own disk."""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock

from infra.storage.store import RemoteStore

LOCAL_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors of the disk here, not of the server."""


@dataclass(frozen=True)
class NodeCache:
    """Copies files from a server to this node's own disk, each when it is first asked for; pickles.

    All processes of the node share the copies, and one process alone makes each of them.
    """

    url: str
    """Where the files lie: s3://, http(s)://, file:// or a path."""
    folder: Path
    """Where the copies lie."""
    s3_endpoint_url: str | None
    """Address of an S3-compatible server; None: Amazon's."""
    attempts: int
    """How often a file is asked for."""

    def copies(self, folder: Path, names: Sequence[str], key: str) -> Callable[[str], Path]:  # noqa: ARG002 - of any
        """Return what gives the copy of a file by its name, as `path` does."""
        return partial(self.path, key)

    def path(self, key: str, name: str) -> Path:
        """Return the copy of file `name`; `key` keeps the copies of different data sets apart.

        Raises what RemoteStore.fetch raises.
        """
        target = self.folder / key / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(f".{name}.lock"), fallback_to_soft=False):
                if not target.exists():
                    self._fetch(name, target)
        return target

    def _fetch(self, name: str, target: Path) -> None:
        store = RemoteStore(s3_endpoint_url=self.s3_endpoint_url, attempts=self.attempts)
        try:
            store.fetch(f"{self.url.rstrip('/')}/{name}", target)
        except FileNotFoundError as error:
            remedy = "put the files of data/latents there, or set latents_url in the profile to null"
            raise FileNotFoundError(f"{error}; {remedy}") from error
        except OSError as error:
            if error.errno not in LOCAL_FAULTS:
                raise
            free = shutil.disk_usage(target.parent).free / 2**20
            raise OSError(
                error.errno,
                f"cannot copy {name} into {target.parent}, where {free:,.0f} MiB are free: {os.strerror(error.errno)}; "
                "make room there, or set latents_copies in the profile to another disk",
            ) from error
