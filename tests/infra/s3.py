"""An S3 server for tests on 127.0.0.1, which answers 503 as often as it is told."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from tests.infra.loopback import LoopbackServer

BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


class S3Server(LoopbackServer):
    """moto's S3 over HTTP; `busy` requests are refused before it answers again."""

    def __init__(self) -> None:
        self.busy = 0
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        super().__init__(make_server("127.0.0.1", 0, self._answer, threaded=True))

    def upload(self, folder: Path, bucket: str, prefix: str) -> str:
        """All files of a folder; where they lie."""
        client = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")
        client.create_bucket(Bucket=bucket)
        for path in sorted(folder.iterdir()):
            if path.is_file():
                client.upload_file(str(path), bucket, f"{prefix}/{path.name}")
        self.requests.clear()
        return f"s3://{bucket}/{prefix}"

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            is_busy, self.busy = self.busy > 0, max(0, self.busy - 1)
            self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if is_busy:
            start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(BUSY)))])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [BUSY]
        return self._app(environ, start)
