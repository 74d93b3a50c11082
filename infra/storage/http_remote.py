"""Opens files of web servers at a byte, a hub of models and data sets among them. It writes no file.

It does not retry, but waits where the server has asked for a pause (infra/storage/gate.py).
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from infra.addresses import leads_here
from infra.storage.body import Body, Digest
from infra.storage.errors import RateLimitError, ServerBusyError
from infra.storage.gate import Gate
from infra.storage.rate_limit import seconds_to_wait

CONNECTIONS = 32
"""Open connections kept for reuse: at least as many as any stage downloads at once."""
READ_BYTES = 1 << 17
"""Bytes taken from the socket at once; fewer where fewer have come."""
SLOWEST_RATE = 1000.0
"""Bytes a second below which a body counts as stalled: a server that sends a byte now and then never times out."""
REFUSED = frozenset({429, 503})
"""HTTP statuses of a server that is asked too much."""
BUSY = frozenset({408, 425, 500, 502, 504})
"""HTTP statuses that another attempt may change."""
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
NETWORK_ERRORS = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
"""What is raised when the connection breaks, before or within the body."""


class BearerToken(AuthBase):
    """Sends a token; requests takes it off again where an answer leads to another server."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class EnvironmentOnce(requests.Session):
    """Reads proxies and certificates from the environment once for each server: a tenth of a small download's time."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[str, Any] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return what requests finds for a server; each call here has the same other arguments."""
        server = server_of(str(url))
        if server not in self._settings:
            self._settings[server] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return self._settings[server]


@dataclass(frozen=True)
class HttpRemote:
    """Opens files of web servers. A server that ignores ranges, or whose file has changed, answers from byte 0."""

    connect_timeout: float
    read_timeout: float
    gate: Gate
    token: str | None = None
    """Of an account at a hub."""
    token_servers: frozenset[str] = frozenset()
    """Servers (`scheme://host:port`) that are sent the token: over https, or on this machine."""

    @cached_property
    def _session(self) -> requests.Session:
        session = EnvironmentOnce()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        return session

    @contextmanager
    def open(self, url: str, start: int, version: str | None) -> Iterator[Body]:
        """Open `url` at byte `start` if it still is `version`, else at 0.

        Raises FileNotFoundError, PermissionError, ServerBusyError, ConnectionError, or OSError for other answers.
        """
        span = {"Range": f"bytes={start}-", "If-Range": version} if start and version else {}
        try:
            with self.gate.connection(server_of(url)):
                answer = self._get(url, span)
                if answer.status_code == 206 and not _continues(answer, start, version):
                    answer.close()
                    answer = self._get(url, {})
                with closing(answer):
                    self._check_status(answer, url)
                    yield self._body(answer)
        except NETWORK_ERRORS as error:
            raise ConnectionError(innermost(error)) from error

    def _get(self, url: str, span: Mapping[str, str]) -> requests.Response:
        server = server_of(url)
        asked_at = self.gate.wait(server)
        answer = self._session.get(
            url,
            headers={"Accept-Encoding": "identity", **span},
            auth=BearerToken(self.token) if self.token and self._may_see_token(url) else None,
            stream=True,
            timeout=(self.connect_timeout, self.read_timeout),
        )
        for one in (*answer.history, answer):
            is_refused = one.status_code in REFUSED
            self.gate.heed(server, one.headers, is_refused=is_refused, asked_at=asked_at)
        if answer.status_code not in REFUSED:
            self.gate.accept(server)
        if answer.status_code == 416 and span:  # the range starts at the file's end or behind it
            answer.close()
            return self._get(url, {})
        return answer

    def _body(self, answer: requests.Response) -> Body:
        start, total = 0, answer.headers.get("Content-Length", "")
        span = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status_code == 206 and span:
            start, total = int(span[1]), span[2]
        size = int(total) if total.isdigit() else None
        chunks = _chunks(answer.raw, self.read_timeout)
        return Body(chunks, start, size, _version(answer), _hub_digest(answer))

    def _may_see_token(self, url: str) -> bool:
        is_safe = urlsplit(url).scheme == "https" or leads_here(url)
        return is_safe and server_of(url) in self.token_servers

    def _check_status(self, answer: requests.Response, url: str) -> None:
        status = f"{answer.status_code} {answer.reason}".strip()
        if answer.status_code in (404, 410):
            raise FileNotFoundError(f"not on the server ({answer.status_code})")
        if answer.status_code in (401, 403):
            reason = answer.headers.get("X-Error-Message", "")
            said = f"{status}: {reason.rstrip('.')}" if reason else status
            raise PermissionError(f"the server does not allow it ({said}){self._remedy(url)}")
        asked = seconds_to_wait(answer.headers, is_refused=True)
        if answer.status_code in REFUSED:
            raise RateLimitError(f"the server answers {status}", asked)
        if answer.status_code in BUSY:
            raise ServerBusyError(f"the server answers {status}", asked)
        if answer.status_code not in (200, 206):
            raise OSError(f"the server answers {status}")

    def _remedy(self, url: str) -> str:
        if server_of(url) not in self.token_servers:
            return ""
        if not self.token:
            return "; if it is gated or private, set HF_TOKEN to the token of an account that may read it"
        if not self._may_see_token(url):
            return "; HF_TOKEN is not sent over http, use https"
        return (
            "; HF_TOKEN was sent: accept the conditions on the page of the repository, or use another account's token"
        )


def server_of(url: str) -> str:
    """Return `scheme://host:port` of an address, without the port where it is the usual one."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in (None, usual) else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def innermost(error: BaseException) -> str:
    """Return what the network said, without the wrappings of the libraries."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"


def _continues(answer: requests.Response, start: int, version: str | None) -> bool:
    """Whether a part of a file is the one that was asked for: some servers know no If-Range, some count wrongly."""
    span = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return span is not None and int(span[1]) == start and _version(answer) == version


def _chunks(raw: urllib3.HTTPResponse, seconds: float) -> Iterator[bytes]:
    """Yield the bytes as they are stored: a .gz that a server labels as gzip-encoded must stay a .gz.

    Raises ConnectionError when they come more slowly than SLOWEST_RATE for so many seconds.
    """
    received, ends = 0, time.monotonic() + seconds
    while chunk := raw.read1(READ_BYTES, decode_content=False):
        yield chunk
        received += len(chunk)
        if time.monotonic() > ends:
            if received < seconds * SLOWEST_RATE:
                raise ConnectionError(f"the line is stalled: {received} bytes came in {seconds:.0f} s")
            received, ends = 0, time.monotonic() + seconds


def _version(answer: requests.Response) -> str | None:
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def _hub_digest(answer: requests.Response) -> Digest | None:
    """Return the hash that a hub names for a file, on its own answer or on the one that leads to another server."""
    for one in (*answer.history, answer):
        if "X-Repo-Commit" in one.headers:
            tag = one.headers.get("X-Linked-ETag") or one.headers.get("ETag") or ""
            value = tag.removeprefix("W/").strip('"')
            if re.fullmatch(r"[0-9a-f]{64}", value):
                return Digest("sha256", value)
            if re.fullmatch(r"[0-9a-f]{40}", value):
                return Digest("git-blob", value)
    return None
