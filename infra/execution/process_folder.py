"""A folder of one process (a private Ray, a node's worker, a page): gone with it, or swept by the next after a kill."""

import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

PLACE = Path("/tmp")  # noqa: S108 - not the configured one: a socket's path may have 107 bytes, Ray's own part takes 75
PREFIX = "mvdpp-"
LOCK = "lock"


class ProcessFolder:
    """A fresh folder, locked as long as this process lives; `temporary` inside it is for its workers' own files."""

    def __init__(self, place: Path | None = None) -> None:
        """Make it in `place`, by default PLACE, after removing those there whose owner has died."""
        sweep(place)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place or PLACE))
        self.temporary = self.path / "tmp"
        self.temporary.mkdir()
        part = self.path / f"{LOCK}.part"
        self._lock = FileLock(part, thread_local=False, fallback_to_soft=False)
        self._lock.acquire()
        part.rename(self.path / LOCK)  # whoever sees the name finds it locked

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def sweep(place: Path | None = None) -> None:
    """Remove the folders that nobody holds any more; a lock, not a process number, also counts in other containers."""
    for lock in (place or PLACE).glob(f"{PREFIX}*/{LOCK}"):
        try:
            with FileLock(lock, timeout=0, fallback_to_soft=False):
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:  # held, another user's, or gone by now
            continue
