"""An S3 server in a process of its own that can be killed: what it has acknowledged is there when it starts again.

moto answers, which holds everything in memory. Here each object is written to a file before its request is
acknowledged, all files are read at the start, and acknowledged requests are noted in a log. Uploads in parts that are
not complete are lost by a kill, and an object that came in parts has the ETag of its whole content afterwards.
"""

import argparse
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

import boto3
import psutil
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import Client

from infra.execution.end_with import end_with
from infra.execution.processes import environment

ROOT = Path(__file__).parents[2]
LOG = "acknowledged.log"
BUCKETS = "buckets"
CREDENTIAL = "any/20260101/us-east-1/s3/aws4_request"
ANYBODY = {"Authorization": f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature=0"}
"""moto checks no signature, but without one nothing that is private can be read."""


class S3Process:
    """The server as its users see it: started on entering the context, killed at its end."""

    def __init__(self, folder: Path) -> None:
        """Keep objects below `folder`; listen on a free port of 127.0.0.1, and on the same one after a kill."""
        self.folder = folder
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server; return when it listens. Raises RuntimeError when it does not come up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        port = str(urlsplit(self.url).port or 0)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.infra.s3_on_disk", str(self.folder), "--port", port],
                cwd=ROOT, env=environment({}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            said = (self.folder / "server.log").read_text()[-2000:]
            raise RuntimeError(f"the S3 server on {self.folder} does not come up: {said}")

    def kill(self) -> None:
        """End the server by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def client(self) -> Any:
        """Return what boto3 asks it with."""
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def acknowledged(self) -> list[str]:
        """Return the requests that were acknowledged since the folder is new, such as `PUT /bucket/key`."""
        log = self.folder / LOG
        return log.read_text().splitlines() if log.exists() else []


class ObjectsOnDisk:
    """A WSGI application: moto's S3, with its objects in files."""

    def __init__(self, folder: Path) -> None:
        """Give moto what the folder holds."""
        self._folder = folder
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._inside = Client(self._app)
        for bucket in sorted((folder / BUCKETS).glob("*")):
            self._inside.put(f"/{bucket.name}", headers=ANYBODY)
            for file in sorted(bucket.glob("[!.]*")):
                place = f"/{bucket.name}/{quote(unquote(file.name))}"
                self._inside.put(place, data=file.read_bytes(), headers=ANYBODY)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request once its effect is on disk."""
        sent = b""
        if environ["REQUEST_METHOD"] == "POST" and "delete" in _query(environ):
            sent = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(sent)
        answer: list[Any] = []
        body = b"".join(self._app(environ, lambda *words: answer.append(words)))
        status, headers = answer[0][:2]
        if status.startswith("2"):
            self._note(environ, sent)
        start(status, headers)
        return [body]

    def _note(self, environ: dict[str, Any], sent: bytes) -> None:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].encode("latin-1").decode()
        bucket, _, key = path.strip("/").partition("/")
        with self._lock:
            if method == "PUT" and not key:
                (self._folder / BUCKETS / bucket).mkdir(parents=True, exist_ok=True)
            is_part = "partNumber" in _query(environ)
            changed = [key] if key and method in ("PUT", "POST", "DELETE") and not is_part else _deleted(sent)
            for name in changed:
                self._keep(bucket, name)
            with (self._folder / LOG).open("a") as log:
                log.write(f"{method} {path}\n")

    def _keep(self, bucket: str, key: str) -> None:
        """Let a file be what moto has of an object: its content, or nothing."""
        file = self._folder / BUCKETS / bucket / quote(key, safe="")
        found = self._inside.get(f"/{bucket}/{quote(key)}", headers=ANYBODY)
        if found.status_code == 404:
            file.unlink(missing_ok=True)
            return
        assert found.status_code == 200, f"{key} is answered with {found.status}"
        part = file.with_name(f".{file.name}")
        part.write_bytes(found.data)
        part.replace(file)


def _query(environ: dict[str, Any]) -> dict[str, list[str]]:
    return parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)


def _deleted(request: bytes) -> Iterator[str]:
    """Yield the keys that a request to delete several objects names."""
    for element in ElementTree.fromstring(request).iter() if request else ():
        if element.tag.rpartition("}")[2] == "Key":
            yield element.text or ""


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass


def main() -> None:
    """Serve a folder until this process or the one that started it ends; print the address first."""
    parser = argparse.ArgumentParser(prog="python -m tests.infra.s3_on_disk", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    arguments = parser.parse_args()
    end_with(psutil.Process(os.getppid()), "the process that started this S3 server", grace=1.0)
    server = make_server(
        "127.0.0.1", arguments.port, ObjectsOnDisk(arguments.folder), threaded=True, request_handler=_Quiet
    )
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 the answer to the process that asked
    server.serve_forever()


if __name__ == "__main__":
    main()
