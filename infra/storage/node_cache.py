"""Copies of files on this node's own disk, made when first asked for; all processes of the node share them."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.storage.store import RemoteStore

LOCAL_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Of the disk here, not of the server."""


@dataclass(frozen=True)
class NodeCache:
    """Of the files below `url`; pickles."""

    url: str
    """s3://, http(s)://, file:// or a path."""
    folder: Path
    s3_endpoint_url: str | None
    attempts: int

    def path(self, key: str, name: str) -> Path:
        """The copy of file `name`, whole; `key` keeps the copies of different data sets apart.

        Raises what RemoteStore.fetch raises.
        """
        target = self.folder / key / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with _alone(target.with_name(f".{name}.lock")):
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


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; a killed one leaves nothing locked."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
