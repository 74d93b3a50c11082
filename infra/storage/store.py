"""Downloads remote files, whole or not at all: resumes partial ones and retries transient errors.

Retries surround the whole download, because those of urllib3 and botocore end where a body begins; theirs are switched
off, so that attempts do not multiply. No library resumes a broken download by If-Range, so `PartFile` does.
docs/conventions.md says who else retries what.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from infra.storage.remote import CHUNK_BYTES, Body, HttpRemote, S3Remote, ServerBusyError

LONGEST_WAIT = 120.0
"""Seconds between two attempts, whatever the server asks for."""


class Remote(Protocol):
    """Opens the files of one kind of server."""

    def open(self, url: str, start: int, version: str | None) -> AbstractContextManager[Body]:
        """Open `url` at byte `start` if it still is `version`, else at 0."""
        ...


class RemoteStore:
    """Downloads from http(s)://, s3://, file:// and plain paths. Threads may share it."""

    def __init__(
        self,
        *,
        s3_endpoint_url: str | None = None,
        attempts: int = 5,
        backoff: float = 1.0,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
    ) -> None:
        """Say how patient the store is.

        Args:
            s3_endpoint_url: Address of an S3-compatible server; None: Amazon's.
            attempts: How often a file is asked for.
            backoff: Seconds to wait after the first failed attempt; doubles with each further one.
            connect_timeout: Seconds for a connection to be made.
            read_timeout: Seconds without a byte after which an attempt has failed.
        """
        web = HttpRemote(connect_timeout, read_timeout)
        s3 = S3Remote(s3_endpoint_url, connect_timeout, read_timeout)
        self._remotes: dict[str, Remote] = {"http": web, "https": web, "s3": s3, "file": LocalFiles(), "": LocalFiles()}
        self._attempts = attempts
        self._backoff = backoff

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:
        """Download a file, whole or not at all; what an earlier call left unfinished is continued.

        Args:
            url: Where the file lies.
            target: Where it goes; the folder is made.
            max_bytes: A larger file is refused, before its body where the server says its size.

        Raises:
            FileNotFoundError: It is not there.
            PermissionError: The server does not allow it.
            ConnectionError: The server cannot be reached, or the line keeps breaking.
            OSError: EFBIG above `max_bytes`, ENOSPC when the disk is full, or another answer of the server.
            ValueError: The url is of an unknown kind.
        """
        remote = self._remotes.get(urlsplit(url).scheme)
        if remote is None:
            raise ValueError(f"cannot read {url!r}: use http://, https://, s3://, file:// or a path")
        part = PartFile(target)
        attempts = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=retry_if_exception_type((ConnectionError, ServerBusyError)),
            reraise=True,
        )
        try:
            attempts(part.receive, remote, url, max_bytes)
            part.finish()
        except (ConnectionError, ServerBusyError) as error:
            raise type(error)(f"{url}: {error} (tried {self._attempts} times)") from error
        except OSError as error:
            part.discard()
            raise _about(url, error) from error

    def _wait(self, attempt: RetryCallState) -> float:
        """Seconds before the next attempt: what the server asked for, or the backoff where that is longer.

        The jitter keeps many clients from coming back at once.
        """
        backoff = wait_exponential_jitter(initial=self._backoff, jitter=self._backoff)(attempt)
        error = attempt.outcome.exception() if attempt.outcome else None
        return min(max(backoff, getattr(error, "retry_after", 0.0)), LONGEST_WAIT)


def _about(url: str, error: OSError) -> OSError:
    text = error.strerror or str(error)
    return type(error)(error.errno, f"{url}: {text}") if error.errno else type(error)(f"{url}: {text}")


class PartFile:
    """A partial download: `.NAME.part` beside the target, and `.NAME.version`, the version that it is a part of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(f".{target.name}.part")
        self.version = target.with_name(f".{target.name}.version")

    def receive(self, remote: Remote, url: str, max_bytes: int | None) -> None:
        """Append what is missing, or start anew when the file has changed or cannot be continued.

        Raises ConnectionError when the line breaks; what has come until then stays for the next call.
        """
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
        """Rename the part to the target, once its bytes are on the disk."""
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self.part.replace(self.target)
        self.version.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the part."""
        self.part.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)


def _check_size(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise OSError(errno.EFBIG, f"{size} bytes or more, the limit is {max_bytes}")


class LocalFiles:
    """Opens files of this machine."""

    @contextmanager
    def open(self, url: str, start: int, version: str | None) -> Iterator[Body]:  # noqa: ARG002 - copying is never continued
        """Open a path or a file:// url at byte 0."""
        path = Path(unquote(urlsplit(url).path) if url.startswith("file:") else url)
        with path.open("rb") as file:
            chunks = iter(lambda: file.read(CHUNK_BYTES), b"")
            yield Body(chunks, 0, path.stat().st_size, None)
