"""Files by their content, in a folder or a bucket between machines that share no disk.

What lies there is a copy: whoever put a file has it still, so all of it may be deleted while nobody is at work, and is
put again by the next run that needs it (docs/cluster.md).
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from infra.storage.errors import ServerBusyError
from infra.storage.folder_uploads import FolderUploads
from infra.storage.gate import LONGEST_BACKOFF, Gate
from infra.storage.s3_uploads import S3Uploads
from infra.storage.store import RemoteStore

SHARED = "blobs"
"""Folder of the store with what many jobs read."""
AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True)
class Blob:
    """A file in the store."""

    sha256: str
    size: int
    """Bytes."""
    folder: str = SHARED
    """Where in the store it lies."""

    @property
    def key(self) -> str:
        """Its name in the store: two letters make a folder, so that no folder holds all."""
        return f"{self.folder}/{self.sha256[:2]}/{self.sha256}"


class Uploads(Protocol):
    """Where files are put."""

    def size_of(self, key: str) -> int | None:
        """Return the size of a file in bytes; None: there is none."""
        ...

    def put(self, path: Path, key: str) -> None:
        """Copy a file there, whole or not at all."""
        ...

    def delete(self, key: str) -> None:
        """Remove a file; none need be there."""
        ...

    def check(self) -> None:
        """Raise OSError where it cannot be used, after removing what uploads of more than a day ago have left."""
        ...


@dataclass(frozen=True)
class BlobStore:
    """Puts files into a store by their content, and brings them back; pickles. Threads may share it."""

    url: str
    """s3://bucket/prefix, file:// or a path."""
    s3_endpoint_url: str | None
    """Address of an S3-compatible server; None: Amazon's."""
    attempts: int
    """How often a request is made that may yet succeed; the waits between them double from a second on."""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("s3", "file", ""):
            raise ValueError(f"store_url is {self.url!r}, which cannot be written to; use s3://bucket/prefix or a path")

    def check(self) -> None:
        """Ask the store for an answer before work begins.

        Raises OSError, in one sentence that names the store, where it does not answer or may not be used.
        """
        self._patiently(self._uploads.check, attempts=1)

    def put(self, path: Path, folder: str = SHARED) -> Blob:
        """Put a file, unless the store has it in `folder`; return how it is asked for.

        Raises FileNotFoundError where there is no such file, ConnectionError or ServerBusyError when the store does not
        answer, OSError when the file changes meanwhile or the store refuses it.
        """
        before = stamp(path)
        with path.open("rb") as file:
            blob = Blob(hashlib.file_digest(file, "sha256").hexdigest(), before[0], folder)
        if self._patiently(lambda: self._uploads.size_of(blob.key)) == blob.size:
            return blob
        self._patiently(lambda: self._uploads.put(path, blob.key))
        if stamp(path) != before:
            self.delete(blob)
            raise OSError(f"{path} has changed while it was put into {self.url}; run the same command again")
        return blob

    def get(self, blob: Blob, target: Path) -> None:
        """Bring a file to `target`, whole and with its own hash, or not at all.

        A damaged one is removed from the store, so that it is put there again.

        Raises FileNotFoundError when the store has it not, ConnectionError or ServerBusyError when it does not answer,
        OSError when the file is damaged or the disk is full.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".arriving-", dir=target.parent) as folder:
            arrived = Path(folder) / blob.sha256
            self._fetch(blob, arrived)
            with arrived.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != blob.sha256:
                self.delete(blob)
                raise OSError(
                    f"{self.place(blob.key)} was damaged and has been removed; the same command puts it there again"
                )
            arrived.replace(target)

    def delete(self, blob: Blob) -> None:
        """Remove a file from the store. Raises what `put` raises."""
        self.remove(blob.key)

    def write(self, key: str, content: bytes) -> None:
        """Write a small document, which may be written again. Raises what `put` raises."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self._patiently(lambda: self._uploads.put(Path(file.name), key))

    def read(self, key: str) -> bytes | None:
        """Read a small document; None: there is none. Raises what `get` raises."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                self._remote.fetch(self.place(key), Path(folder) / "document")
            except FileNotFoundError:
                return None
            return (Path(folder) / "document").read_bytes()

    def remove(self, key: str) -> None:
        """Remove a document, or a file, by its name. Raises what `put` raises."""
        self._patiently(lambda: self._uploads.delete(key))

    def place(self, key: str) -> str:
        """Return the address of a file."""
        return f"{self.url.rstrip('/')}/{key}"

    def _fetch(self, blob: Blob, target: Path) -> None:
        try:
            self._remote.fetch(self.place(blob.key), target, max_bytes=blob.size)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; the same command puts it there again") from error

    def close(self) -> None:
        """Let no thread wait any longer; what waits raises ConnectionError."""
        self._gate.close()
        self._remote.close()

    @cached_property
    def _gate(self) -> Gate:
        return Gate()

    @cached_property
    def _remote(self) -> RemoteStore:
        return RemoteStore(s3_endpoint_url=self.s3_endpoint_url, attempts=self.attempts)

    @cached_property
    def _uploads(self) -> Uploads:
        if urlsplit(self.url).scheme == "s3":
            return S3Uploads(self.url, self.s3_endpoint_url)
        return FolderUploads(Path(unquote(urlsplit(self.url).path) if self.url.startswith("file:") else self.url))

    def __getstate__(self) -> dict[str, object]:
        """Leave out what is open, which does not pickle."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _patiently(self, ask: Callable[[], AnswerT], attempts: int | None = None) -> AnswerT:
        """Ask again while the store does not answer, as RemoteStore does for reading."""
        number = self.attempts if attempts is None else attempts
        again = Retrying(
            stop=stop_after_attempt(number),
            wait=wait_exponential_jitter(initial=1.0, jitter=1.0, max=LONGEST_BACKOFF),
            retry=retry_if_exception_type((ConnectionError, ServerBusyError)),
            sleep=self._gate.sleep,
            reraise=True,
        )
        try:
            return again(ask)
        except ConnectionAbortedError:
            raise
        except (ConnectionError, ServerBusyError) as error:
            raise type(error)(f"{self.url}: {error} (tried {number} times)") from error
        except PermissionError as error:
            raise PermissionError(f"{self.url}: {error.strerror or error}") from error


def stamp(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is written: size in bytes, time of the last change in ns, and its number."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino
