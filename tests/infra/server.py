"""A web server for tests on 127.0.0.1 that serves a folder and misbehaves on request."""

import hashlib
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
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
        self.closing = threading.Event()
        self._lock = threading.Lock()
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"web": self})))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        super().__exit__(kind, error, trace)

    def next_fault(self, path: str, token: str | None) -> Fault | None:
        with self._lock:
            self.requests.append(path)
            self.times.append(time.monotonic())
            self.tokens.append(token)
            return self.faults[path].pop(0) if self.faults[path] else None

    def count(self, path: str, num_bytes: int) -> None:
        with self._lock:
            self.sent[path] += num_bytes


class Handler(BaseHTTPRequestHandler):
    web: WebServer

    def do_GET(self) -> None:
        path = unquote(self.path).lstrip("/")
        fault = self.web.next_fault(path, self.headers["Authorization"])
        if fault and fault.hang:
            self.web.closing.wait()
            return
        if fault and fault.status:
            self._say(fault.status, dict(fault.headers), b"")
            return
        file = self.web.folder / path
        if not file.is_file():
            self._say(404, {}, b"")
            return
        self._send(path, file.read_bytes(), None if fault is None else fault.after_bytes)

    def _send(self, path: str, content: bytes, limit: int | None) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        status, start, headers = 200, 0, {"ETag": tag} if self.web.ranges else {}
        headers |= self.web.headers[path]
        is_same = self.headers["If-Range"] == tag or not self.web.if_range
        if self.web.ranges and "Range" in self.headers and is_same:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(content) else 416
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:] if status != 416 else b""
        kept = body if limit is None else body[:limit]
        self.web.count(path, len(kept))
        self._say(status, headers, kept, len(body))

    def _say(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        with suppress(ConnectionError):  # the client has gone
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass
