"""A model hub on this machine that serves a folder as the repository owner/name, by the addresses of huggingface.co."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlparse

import pytest
from huggingface_hub import constants

COMMIT = "a" * 40
API, FILES = "/api/models/owner/name", "/owner/name/resolve/"


@contextmanager
def served(folder: Path, is_gated: bool = False) -> Iterator[str]:
    """Serve `folder`, or say of everything that it is gated; yields the hub's address for the variable HF_ENDPOINT."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (Hub,), {"files": files, "is_gated": is_gated}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def ask(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the server at `url` for this process's hub, with an empty cache."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


class Hub(BaseHTTPRequestHandler):
    files: ClassVar[dict[str, Path]] = {}
    is_gated: ClassVar[bool] = False

    def do_HEAD(self) -> None:
        self.answer(b"", self.found())

    def do_GET(self) -> None:
        found = self.found()
        self.answer(found or b"", found)

    def log_message(self, *_: Any) -> None:
        pass

    def found(self) -> bytes | None:
        if self.is_gated:
            return None
        path = urlparse(self.path).path
        if path.startswith(API):
            return json.dumps(self.tree() if "/tree/" in path else self.about()).encode()
        name = path.removeprefix(FILES).partition("/")[2]
        return self.files[name].read_bytes() if path.startswith(FILES) and name in self.files else None

    def tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": name, "size": at.stat().st_size, "oid": "0"} for name, at in self.files.items()
        ]

    def about(self) -> dict[str, Any]:
        siblings = [{"rfilename": name} for name in self.files]
        return {"id": "owner/name", "sha": COMMIT, "private": False, "siblings": siblings}

    def answer(self, body: bytes, found: bytes | None) -> None:
        self.send_response(200 if found is not None else 403 if self.is_gated else 404)
        self.send_header("Content-Length", str(len(found or b"")))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(found or b"").hexdigest()}"')
        if found is None:
            self.send_header("X-Error-Code", "GatedRepo" if self.is_gated else "EntryNotFound")
        self.end_headers()
        self.wfile.write(body)
