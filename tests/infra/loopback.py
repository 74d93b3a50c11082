"""A server in a thread of a test."""

import socket
import threading
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self

from werkzeug.serving import BaseWSGIServer


class LoopbackServer:
    """Serves on 127.0.0.1 inside its `with` block."""

    def __init__(self, http: ThreadingHTTPServer | BaseWSGIServer) -> None:
        self._http = http
        self._thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def free_port() -> int:
    """A port of the loopback address that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
