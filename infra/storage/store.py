"""Downloads remote files, whole or not at all: resumes partial ones and retries transient errors.

Retries surround the whole download, because those of urllib3 and botocore end where a body begins; theirs are switched
off, so that attempts do not multiply. No library resumes a broken download by If-Range, so `PartFile` does.
docs/conventions.md says who else retries what.
"""

import errno
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from infra.addresses import shown
from infra.storage.body import CHUNK_BYTES, Body
from infra.storage.errors import BrokenBodyError, RateLimitError, ServerBusyError
from infra.storage.gate import LONGEST_BACKOFF, LONGEST_PAUSE, Gate
from infra.storage.http_remote import HttpRemote, server_of
from infra.storage.s3_remote import S3Remote

MAX_PAUSES = 24
"""How often one file waits as long as the server asks: two hours where its window is five minutes."""


class Remote(Protocol):
    """Opens the files of one kind of server."""

    def open(self, url: str, start: int, version: str | None) -> AbstractContextManager[Body]:
        """Open `url` at byte `start` if it still is `version`, else at 0."""
        ...


class RemoteStore:
    """Downloads from http(s)://, s3://, file:// and plain paths. Threads may share it."""

    def __init__(  # noqa: PLR0913 - what the profile says of downloads
        self,
        *,
        s3_endpoint_url: str | None = None,
        attempts: int = 5,
        backoff: float = 1.0,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        token: str | None = None,
        token_urls: Collection[str] = (),
        connections: int = 16,
        disk_reserve: int = 0,
        mirrors: Mapping[str, str] | None = None,
    ) -> None:
        """Say how patient the store is.

        Args:
            s3_endpoint_url: Address of an S3-compatible server; None: Amazon's.
            attempts: How often a file is asked for.
            backoff: Seconds to wait after the first failed attempt; doubles with each further one.
            connect_timeout: Seconds for a connection to be made.
            read_timeout: Seconds without a byte after which an attempt has failed.
            token: Of an account at a hub.
            token_urls: Addresses at servers that are sent the token, over https or on this machine; no other is.
            connections: To one server at once; what a server's redirects lead to counts as that server.
            disk_reserve: Bytes of the disk that downloads leave free.
            mirrors: Where addresses that begin with a key are read instead: what the key stands for, then the rest.
        """
        self._mirrors = sorted((mirrors or {}).items(), key=lambda pair: len(pair[0]), reverse=True)
        self._gate = Gate(connections, backoff)
        servers = frozenset(server_of(url) for url in token_urls)
        web = HttpRemote(connect_timeout, read_timeout, self._gate, token, servers)
        s3 = S3Remote(s3_endpoint_url, connect_timeout, read_timeout, self._gate)
        self._remotes: dict[str, Remote] = {"http": web, "https": web, "s3": s3, "file": LocalFiles(), "": LocalFiles()}
        self._attempts = attempts
        self._backoff = backoff
        self._disk_reserve = disk_reserve

    def fetch(self, url: str, target: Path, *, max_bytes: int | None = None) -> None:
        """Download a file, whole or not at all; what an earlier call left unfinished is continued.

        Args:
            url: Where the file lies.
            target: Where it goes; the folder is made.
            max_bytes: A larger file is refused, before its body where the server says its size.

        Raises:
            FileNotFoundError: It is not there.
            PermissionError: The server does not allow it.
            ConnectionError: The server cannot be reached, the line keeps breaking, or the server stays busy (EBUSY).
            OSError: EFBIG above `max_bytes`, ENOSPC when the disk is full up to its reserve, or another answer of the
                server.
            ValueError: The url is of an unknown kind.
        """
        url = self._mirrored(url)
        remote = self._remotes.get(urlsplit(url).scheme)
        if remote is None:
            raise ValueError(f"cannot read {shown(url)!r}: use http://, https://, s3://, file:// or a path")
        part = PartFile(target, self._disk_reserve)
        attempts = Retrying(
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=retry_if_exception(_may_be_mended),
            sleep=self._gate.sleep,
            reraise=True,
        )
        try:
            attempts(_receive, part, remote, url, max_bytes, iter(range(MAX_PAUSES)))
            part.finish()
        except (ConnectionError, ServerBusyError, BrokenBodyError) as error:
            raise type(error)(f"{shown(url)}: {shown(str(error))} (tried {self._attempts} times)") from error
        except OSError as error:
            part.discard()
            raise _about(url, error) from error

    def _mirrored(self, url: str) -> str:
        """Return where `url` is read: at the mirror of the longest address that it begins with."""
        for address, mirror in self._mirrors:
            start = address.rstrip("/")
            if url == start or url.startswith(f"{start}/"):
                return mirror.rstrip("/") + url[len(start) :]
        return url

    def close(self) -> None:
        """Let no thread wait any longer; what waits raises ConnectionError."""
        self._gate.close()

    def _wait(self, attempt: RetryCallState) -> float:
        """Seconds before the next attempt: what the server asked for, or the backoff where that is longer.

        The jitter keeps many clients from coming back at once.
        """
        backoff = wait_exponential_jitter(initial=self._backoff, jitter=self._backoff)(attempt)
        error = attempt.outcome.exception() if attempt.outcome else None
        return min(max(backoff, getattr(error, "retry_after", 0.0)), LONGEST_BACKOFF)


def _receive(part: "PartFile", remote: Remote, url: str, max_bytes: int | None, pauses: Iterator[int]) -> None:
    """Receive what is missing; wait as long as the server asks, for each of `pauses`: that is no failed attempt."""
    while True:
        try:
            return part.receive(remote, url, max_bytes)
        except (RateLimitError, ServerBusyError) as error:
            asked = error.retry_after
            if asked > LONGEST_PAUSE:
                reason = f"{error}, and asks to wait {asked:.0f} s; run it again then"
                raise RateLimitError(reason, asked) from error
            if not asked or not isinstance(error, RateLimitError) or next(pauses, None) is None:
                raise


def _may_be_mended(error: BaseException) -> bool:
    """Whether another attempt may have what this one had not: not where the download was called off or put off."""
    is_of_the_kind = isinstance(error, ConnectionError | ServerBusyError | BrokenBodyError)
    is_put_off = getattr(error, "retry_after", 0.0) > LONGEST_PAUSE
    return is_of_the_kind and not is_put_off and not isinstance(error, ConnectionAbortedError)


def _about(url: str, error: OSError) -> OSError:
    text = f"{shown(url)}: {shown(error.strerror or str(error))}"
    return type(error)(error.errno, text) if error.errno else type(error)(text)


class PartFile:
    """A partial download: `.NAME.part` beside the target, and `.NAME.version`, the version that it is a part of.

    Small files that come at once never have the second.
    """

    def __init__(self, target: Path, disk_reserve: int) -> None:
        self.target = target
        self.disk_reserve = disk_reserve
        self.part = target.with_name(f".{target.name}.part")
        self.version = target.with_name(f".{target.name}.version")

    def receive(self, remote: Remote, url: str, max_bytes: int | None) -> None:
        """Append what is missing, or start anew when the file has changed or cannot be continued.

        Raises ConnectionError when the line breaks; what has come until then stays for the next call. Raises
        BrokenBodyError, and keeps nothing, when what has come is not what the server names.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        start = self.part.stat().st_size if self.part.exists() and self.version.exists() else 0
        try:
            self._receive(remote, url, max_bytes, start)
        except BrokenBodyError:
            self.discard()
            if not start:
                raise
            self._receive(remote, url, max_bytes, 0)

    def _receive(self, remote: Remote, url: str, max_bytes: int | None, start: int) -> None:
        with remote.open(url, start, self.version.read_text() if start else None) as body:
            _check_size(body.total or 0, max_bytes)
            self._check_room((body.total or 0) - body.start)
            if body.start not in (0, start):
                raise OSError(f"asked for the bytes from {start} on, the server sent those from {body.start} on")
            if body.start == 0:
                self.version.unlink(missing_ok=True)
            with self.part.open("ab" if body.start else "wb") as file:
                for chunk in body.chunks:
                    self._check_room(len(chunk))
                    file.write(chunk)
                    size = file.tell()
                    _check_size(size, max_bytes)
                    if body.version and size != body.total and not self.version.exists():
                        self.version.write_text(body.version)
                size = file.tell()
                file.flush()
                os.fsync(file.fileno())
        if body.total is not None and size != body.total:
            raise ConnectionError(f"the line broke after {size} of {body.total} bytes")
        if body.digest is not None:
            body.digest.check(self.part)

    def _check_room(self, num_bytes: int) -> None:
        """Raise OSError(ENOSPC) when so many bytes do not fit on the disk beside the reserve."""
        if not self.disk_reserve:
            return
        free = shutil.disk_usage(self.target.parent).free
        if free - num_bytes < self.disk_reserve:
            raise OSError(
                errno.ENOSPC,
                f"{num_bytes} bytes do not fit into the {free} that are free beside a reserve of {self.disk_reserve}",
            )

    def finish(self) -> None:
        """Rename the part, whose bytes are on the disk, to the target."""
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
