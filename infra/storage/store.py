"""Brings remote files here, whole or not at all.

What broke off is continued, what another try may change is tried again.
"""

import errno
import os
import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from infra.storage.remote import CHUNK_BYTES, Body, HttpRemote, S3Remote, ServerBusyError

LONGEST_WAIT = 120.0
"""Seconds between two attempts, whatever the server asks for."""


class Remote(Protocol):
    """Opens files of one kind of server."""

    def open(self, url: str, start: int, version: str | None) -> AbstractContextManager[Body]:
        """The bytes of `url` from `start` on if it still is `version`, else from 0."""
        ...


class RemoteStore:
    """Reads http(s)://, s3://, file:// and plain paths. Threads may share it."""

    def __init__(
        self,
        *,
        s3_endpoint_url: str | None = None,
        attempts: int = 5,
        backoff: float = 1.0,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
    ) -> None:
        """All times in seconds; `backoff` is the wait after the first failed attempt and doubles with each."""
        web = HttpRemote(connect_timeout, read_timeout)
        s3 = S3Remote(s3_endpoint_url, connect_timeout, read_timeout)
        self._remotes: dict[str, Remote] = {"http": web, "https": web, "s3": s3, "file": LocalFiles(), "": LocalFiles()}
        self._attempts = attempts
        self._backoff = backoff

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:
        """Download `url` to `target`, whole or not at all; what an earlier call left unfinished is continued.

        Raises FileNotFoundError or PermissionError when the server says so, ConnectionError when it cannot be
        reached or the line keeps breaking, OSError(EFBIG) above `max_bytes`, OSError(ENOSPC) when the disk is full,
        OSError for the rest, ValueError for an unknown kind of url.
        """
        remote = self._remotes.get(urlsplit(url).scheme)
        if remote is None:
            raise ValueError(f"cannot read {url!r}: use http://, https://, s3://, file:// or a path")
        part = PartFile(target)
        for attempt in range(1, self._attempts + 1):
            try:
                part.receive(remote, url, max_bytes)
                return part.finish()
            except (ConnectionError, ServerBusyError) as error:
                if attempt == self._attempts:
                    raise type(error)(f"{url}: {error} (tried {attempt} times)") from error
                self._wait(attempt, getattr(error, "retry_after", 0.0))
            except OSError as error:
                part.discard()
                raise _about(url, error) from error
        raise AssertionError("attempts is at least 1")

    def _wait(self, attempt: int, asked: float) -> None:
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - so that many clients do not come back at once
        time.sleep(min(max(self._backoff * 2 ** (attempt - 1) * jitter, asked), LONGEST_WAIT))


def _about(url: str, error: OSError) -> OSError:
    text = error.strerror or str(error)
    return type(error)(error.errno, f"{url}: {text}") if error.errno else type(error)(f"{url}: {text}")


class PartFile:
    """The unfinished `.NAME.part` beside a target, and `.NAME.version`: which version of the file it is a part of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(f".{target.name}.part")
        self.version = target.with_name(f".{target.name}.version")

    def receive(self, remote: Remote, url: str, max_bytes: int | None) -> None:
        """Append what is missing, or start anew when the file has changed or cannot be continued."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        start = self.part.stat().st_size if self.part.exists() and self.version.exists() else 0
        with remote.open(url, start, self.version.read_text() if start else None) as body:
            _check_size(body.total or 0, max_bytes)
            if body.start not in (0, start):
                raise OSError(f"asked for the bytes from {start} on, the server sent those from {body.start} on")
            with self.part.open("ab" if body.start else "wb") as file:
                self._note_version(body.version)
                for chunk in body.chunks:
                    file.write(chunk)
                    _check_size(file.tell(), max_bytes)
                size = file.tell()
        if body.total is not None and size != body.total:
            raise ConnectionError(f"the line broke after {size} of {body.total} bytes")

    def _note_version(self, version: str | None) -> None:
        if version is None:
            self.version.unlink(missing_ok=True)
        else:
            self.version.write_text(version)

    def finish(self) -> None:
        """Make it the target; on disk when this returns."""
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self.part.replace(self.target)
        self.version.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise OSError(errno.EFBIG, f"{size} bytes or more, the limit is {max_bytes}")


class LocalFiles:
    """Files of this machine."""

    @contextmanager
    def open(self, url: str, start: int, version: str | None) -> Iterator[Body]:  # noqa: ARG002 - copying is never continued
        """The bytes of a path or a file:// url, from 0."""
        path = Path(unquote(urlsplit(url).path) if url.startswith("file:") else url)
        with path.open("rb") as file:
            chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
            yield Body(chunks, 0, path.stat().st_size, None)
