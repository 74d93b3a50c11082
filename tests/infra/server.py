"""A web server for tests on 127.0.0.1 that serves a folder and misbehaves on request, by file and by request."""

import hashlib
import math
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from tests.infra.loopback import LoopbackServer


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request."""

    status: int | None = None
    """Answer with this instead."""
    after_bytes: int | None = None
    """Close the line after so many bytes of the body."""
    hang: bool = False
    """Say nothing until the server closes."""
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    """Send this in place of the file, with the file's own headers."""
    length: int | None = None
    """Say this Content-Length, whatever the body is; -1: say none."""
    is_chunked: bool = False
    """Send the body in chunks (Transfer-Encoding)."""
    pause: float = 0.0
    """Seconds to wait after each of the first 100 bytes of the body."""
    content_range: str | None = None
    """Answer a range with this Content-Range; empty: with none."""


@dataclass
class Quota:
    """How many requests a server allows within a fixed window, as the hub of Hugging Face counts them."""

    requests: int
    seconds: float
    refused: int = 0
    """Requests that were answered with 429."""
    _used: int = 0
    _ends: float = 0.0

    def count(self) -> tuple[bool, dict[str, str]]:
        """Count one request; return whether it is allowed, and the headers of the answer."""
        now = time.monotonic()
        if now >= self._ends:
            self._used, self._ends = 0, now + self.seconds
        self._used += 1
        is_allowed = self._used <= self.requests
        self.refused += not is_allowed
        left = f'"resolvers";r={max(0, self.requests - self._used)};t={math.ceil(self._ends - now)}'
        policy = f'"fixed window";"resolvers";q={self.requests};w={self.seconds:.0f}'
        return is_allowed, {"RateLimit": left, "RateLimit-Policy": policy}


class WebServer(LoopbackServer):
    """Serves `folder`; `faults[path]` are used up, one per request, before it serves the file."""

    def __init__(self, folder: Path, *, ranges: bool = True) -> None:
        self.folder = folder
        self.ranges = ranges
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[str] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.headers: dict[str, dict[str, str]] = defaultdict(dict)
        """Added to the whole answers of a path."""
        self.tokens: list[str | None] = []
        """The Authorization header of each request."""
        self.times: list[float] = []
        """When each request came, on time.monotonic's clock."""
        self.if_range = True
        self.quota: Quota | None = None
        self.closing = threading.Event()
        self._lock = threading.Lock()
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"web": self})))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        super().__exit__(kind, error, trace)

    def next_fault(self, path: str, token: str | None) -> Fault:
        with self._lock:
            self.requests.append(path)
            self.times.append(time.monotonic())
            self.tokens.append(token)
            is_allowed, headers = self.quota.count() if self.quota else (True, {})
            if not is_allowed:
                return Fault(status=429, headers=tuple(headers.items()))
            fault = self.faults[path].pop(0) if self.faults[path] else Fault()
            return replace(fault, headers=(*headers.items(), *fault.headers))

    def count(self, path: str, num_bytes: int) -> None:
        with self._lock:
            self.sent[path] += num_bytes


class Handler(BaseHTTPRequestHandler):
    web: WebServer

    def do_GET(self) -> None:
        path = unquote(self.path).lstrip("/")
        fault = self.web.next_fault(path, self.headers["Authorization"])
        if fault.hang:
            self.web.closing.wait()
            return
        file = self.web.folder / path
        if fault.status:
            self._say(fault.status, dict(fault.headers), b"", fault)
        elif fault.content is None and not file.is_file():
            self._say(404, {}, b"", fault)
        else:
            self._send(path, file.read_bytes() if fault.content is None else fault.content, fault)

    def _send(self, path: str, content: bytes, fault: Fault) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        status, start, headers = 200, 0, {"ETag": tag} if self.web.ranges else {}
        headers |= self.web.headers[path] | dict(fault.headers)
        is_same = self.headers["If-Range"] == tag or not self.web.if_range
        if self.web.ranges and "Range" in self.headers and is_same:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(content) else 416
            span = fault.content_range
            if span != "":
                headers["Content-Range"] = span or f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:] if status != 416 else b""
        kept = body if fault.after_bytes is None else body[: fault.after_bytes]
        self.web.count(path, len(kept))
        length = fault.length if fault.length is not None else len(body)
        self._say(status, headers, kept, replace(fault, length=length))

    def _say(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        if fault.is_chunked:
            self.protocol_version, self.close_connection = "HTTP/1.1", True
        self.send_response(status)
        length = len(body) if fault.length is None else fault.length
        kind = {"Transfer-Encoding": "chunked"} if fault.is_chunked else {"Content-Length": str(length)}
        for name, value in (headers | ({} if length < 0 else kind)).items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the client has gone
            for index in range(100 if fault.pause else 0):
                self.wfile.write(body[index : index + 1])
                self.web.closing.wait(fault.pause)
            self._write(body[100 if fault.pause else 0 :], fault)

    def _write(self, body: bytes, fault: Fault) -> None:
        if not fault.is_chunked:
            self.wfile.write(body)
            return
        for start in range(0, len(body), 5000):
            part = body[start : start + 5000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if fault.after_bytes is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: object) -> None:
        pass
