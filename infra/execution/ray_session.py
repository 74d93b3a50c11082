"""The folder of a private Ray and its workers' temporary files: gone with it, or swept by the next one after a kill."""

import fcntl
import shutil
import tempfile
from pathlib import Path

PLACE = Path("/tmp")  # noqa: S108 - not the configured one: a socket's path may have 107 bytes, Ray's own part takes 75
PREFIX = "mvdpp-ray-"
LOCK = "lock"


class SessionFolder:
    """A fresh folder, locked as long as this process lives; `temporary` inside it is for its workers' own files."""

    def __init__(self) -> None:
        """Make it, after removing those whose owner has died."""
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
        self.temporary = self.path / "tmp"
        self.temporary.mkdir()
        part = self.path / f"{LOCK}.part"
        self._lock = part.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        part.rename(self.path / LOCK)  # whoever sees the name finds it locked

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def sweep() -> None:
    """Remove the folders that nobody holds any more; a lock, not a process number, also counts in other containers."""
    for lock in PLACE.glob(f"{PREFIX}*/{LOCK}"):
        try:
            with lock.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:  # held, another user's, or gone by now
            continue
