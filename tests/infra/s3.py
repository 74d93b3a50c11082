"""An S3 server for tests on 127.0.0.1, which answers 503 as often as it is told."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.infra.loopback import LoopbackServer


@dataclass(frozen=True)
class Answer:
    """How one request is answered."""

    status: int | None = None
    """An error instead of what was asked for; None: no error."""
    code: str = ""
    """Its code, as S3 has it."""
    cut: int | None = None
    """The connection breaks after so many bytes of the body."""
    headers: tuple[tuple[str, str], ...] = ()
    """Instead of those of the same name."""


BUSY = Answer(503, "SlowDown")


class S3Server(LoopbackServer):
    """moto's S3 over HTTP; `busy` requests are refused, then `answers` are used up, before it answers by itself."""

    def __init__(self, port: int = 0) -> None:
        """Listen on a free port, or on that of a server that has ended: what it held is still there."""
        self.busy = 0
        self.answers: list[Answer] = []
        self.ranges: list[str | None] = []
        """The Range header of each request."""
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        super().__init__(make_server("127.0.0.1", port, self._answer, threaded=True))

    def client(self) -> Any:
        """What boto3 asks it with."""
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def upload(self, folder: Path, bucket: str, prefix: str) -> str:
        """All files of a folder; where they lie."""
        client = self.client()
        client.create_bucket(Bucket=bucket)
        for path in sorted(folder.iterdir()):
            if path.is_file():
                client.upload_file(str(path), bucket, f"{prefix}/{path.name}")
        self.requests.clear()
        return f"s3://{bucket}/{prefix}"

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            is_busy, self.busy = self.busy > 0, max(0, self.busy - 1)
            how = BUSY if is_busy else self.answers.pop(0) if self.answers else Answer()
            self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            self.ranges.append(environ.get("HTTP_RANGE"))
        if how.status is not None:
            error = f"<?xml version='1.0'?><Error><Code>{how.code}</Code><Message>No.</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(error))), *how.headers]
            start(f"{how.status} No", headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [error]
        replaced = {name.lower() for name, _ in how.headers}

        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start(status, [*(row for row in headers if row[0].lower() not in replaced), *how.headers], *rest)

        body = self._app(environ, begin)
        return body if how.cut is None else [b"".join(body)[: how.cut]]
