"""A hub on this machine that takes commits by the interface of huggingface.co, and gives the files back."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlparse

COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """Repositories are folders below `root`; weights and shards travel as LFS objects, everything else in commits."""

    root: ClassVar[Path]
    tokens: ClassVar[list[str | None]]
    refuses: ClassVar[int | None] = None
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.body()
        self.tokens.append(self.headers["Authorization"])
        path = urlparse(self.path).path
        if self.refuses:
            self.say(self.refuses, {"error": "no"})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            (self.root / name).mkdir(parents=True, exist_ok=True)
            self.say(200, {"url": f"{self.base}/{name}", "name": name})
        elif path == "/api/validate-yaml":
            self.say(200, {"errors": [], "warnings": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            modes = [(row["path"], row["path"].endswith((".safetensors", ".tar"))) for row in files]
            rows = [
                {"path": name, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False}
                for name, is_large in modes
            ]
            self.say(200, {"files": rows})
        elif path.endswith("/info/lfs/objects/batch"):
            upload = [
                row | {"actions": {"upload": {"href": f"{self.base}/lfs/{row['oid']}"}}}
                for row in json.loads(body)["objects"]
            ]
            self.say(200, {"transfer": "basic", "objects": upload})
        else:
            self.commit(path.split("/"), [json.loads(line) for line in body.splitlines() if line.strip()])

    def commit(self, words: list[str], rows: list[dict[str, Any]]) -> None:
        folder = self.root / "/".join(words[3:5])
        for row in rows:
            value = row["value"]
            if row["key"] == "file":
                content = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                content = (self.root / "lfs" / value["oid"]).read_bytes()
            else:
                continue
            (folder / value["path"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / value["path"]).write_bytes(content)
        self.say(
            200,
            {"commitOid": COMMIT, "commitUrl": f"{self.base}/{'/'.join(words[3:5])}/commit/{COMMIT}", "success": True},
        )

    def do_PUT(self) -> None:
        body = self.body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        (self.root / "lfs").mkdir(exist_ok=True)
        (self.root / "lfs" / oid).write_bytes(body)
        self.say(200, {})

    def do_GET(self) -> None:
        words = urlparse(self.path).path.strip("/").split("/")
        if self.refuses:
            self.say(self.refuses, {"error": "no"})
            return
        if words[0] == "api":
            folder = self.root / "/".join(words[2:4])
            names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
            if "tree" in words:
                self.say(200, [{"type": "file", "path": name, "size": 0, "oid": "0" * 40} for name in names])
            else:
                about = {"id": "/".join(words[2:4]), "sha": COMMIT, "private": False}
                self.say(200, about | {"siblings": [{"rfilename": name} for name in names]})
            return
        path = self.root / "/".join(words[:2]) / "/".join(words[4:])
        self.give(path.read_bytes() if path.is_file() else None)

    do_HEAD = do_GET

    def give(self, content: bytes | None) -> None:
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content or b"")

    def say(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def body(self) -> bytes:
        length = self.headers["Content-Length"]
        return self.rfile.read(int(length)) if length else self.chunks()

    def chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    @property
    def base(self) -> str:
        return f"http://{self.headers['Host']}"

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def publishing_hub(root: Path, refuses: int | None = None) -> Iterator[tuple[str, type[Hub]]]:
    """Yield the hub's address and its handler, whose `tokens` are those that came; `refuses` is its every answer."""
    kind = type("Publishing", (Hub,), {"root": root, "tokens": [], "refuses": refuses})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", kind
    finally:
        server.shutdown()
        server.server_close()
