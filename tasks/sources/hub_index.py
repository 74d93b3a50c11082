"""The files of a data set at a hub that say what is in it: fetched once, and checked before they count as there."""

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.artifacts.manifest import fingerprint
from tasks.ports import Tools
from tasks.sources.threads import download_threads

CONNECTIONS = 16
MAX_UNPACKED = 4 * 10**9
"""Bytes that come out of a gzip file; those of Objaverse's hub have less than 0.2 GB."""
Check = Callable[[Path], None]
"""Raises an error of DAMAGED where a file is not whole."""
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, pa.ArrowException, ValueError)


@dataclass(frozen=True)
class HubIndex:
    """Index files of one data set."""

    title: str
    """Name of the data set, for messages."""
    url: str
    """Where it lies, without the last slash."""
    tools: Tools
    remedy: str = "Check the network, or give the address of a copy in mirrors of the profile"
    """What to do where it cannot be read."""

    @property
    def folder(self) -> Path:
        """Where the files lie here; another address has another folder."""
        return self.tools.work / f"hub-{fingerprint(self.url)[:8]}"

    def fetch(self, names: Sequence[str], check: Check) -> list[Path]:
        """Return the paths of files, fetching those that are not here yet.

        Raises ConnectionError when the hub cannot be reached, FileNotFoundError when it lacks one, OSError for one that
        is not whole.
        """
        missing = [name for name in names if not (self.folder / name).exists()]
        if missing:
            self.tools.progress.note(f"fetching {len(missing)} of {len(names)} index files from {self.url}")
        try:
            with download_threads(CONNECTIONS) as threads:
                list(threads.map(lambda name: self._fetch_whole(name, check), missing))
        except (ConnectionError, FileNotFoundError) as error:
            raise type(error)(f"{self.title} cannot be read at {self.url}: {error}. {self.remedy}") from error
        return [self.folder / name for name in names]

    def _fetch_whole(self, name: str, check: Check) -> None:
        unchecked = self.folder / f"{name}.unchecked"
        self.tools.store.fetch(f"{self.url}/{name}", unchecked)
        try:
            check(unchecked)
        except DAMAGED as error:
            unchecked.unlink()
            kind = Path(name).suffix.removeprefix(".").replace("gz", "gzip")
            raise OSError(
                f"{self.url}/{name} is not a whole {kind} file ({error}): try again or another hub_url"
            ) from error
        unchecked.replace(self.folder / name)


def check_gzip(path: Path) -> None:
    """Read a gzip file to its end; raises EOFError where more comes out than `MAX_UNPACKED`."""
    num_bytes = 0
    with gzip.open(path) as file:
        while chunk := file.read(1 << 20):
            num_bytes += len(chunk)
            if num_bytes > MAX_UNPACKED:
                raise EOFError(f"more than {MAX_UNPACKED} bytes come out of it")


def check_parquet(path: Path) -> None:
    """Read the description of a Parquet file, which is at its end."""
    pq.ParquetFile(path).close()
