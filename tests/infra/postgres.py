"""A PostgreSQL server of the system's package for tests, on a free port of 127.0.0.1, gone with its `with` block.

Prefect's migrations need the extension pg_trgm, which Debian's `postgresql` has and the servers in Python wheels lack.
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg2
import pytest

from infra.execution.processes import ProcessGroup

START_SECONDS = 120.0
NOBODY = "65534"
"""PostgreSQL refuses to run as root; this user and group are on every Linux and own nothing."""


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def programs() -> Path:
    """Return the folder of the newest server's programs; skips the test where there is none."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if installed := shutil.which("initdb"):
        found.append(Path(installed).resolve().parent)
    if not found:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    return max(found, key=lambda path: (path.parent.name.isdigit(), int("0" + path.parent.name.split(".")[0])))


class PostgresServer:
    """Runs as an unprivileged user, with one superuser `mvdpp` whose password is drawn anew."""

    def __init__(self) -> None:
        self.port = free_port()
        self.password = secrets.token_hex(16)
        self._programs = programs()
        # Not among pytest's temporary files, which root alone may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="mvdpp-postgres-", dir="/tmp"))
        self._data = self._folder / "data"
        self._group: ProcessGroup | None = None

    def __enter__(self) -> Self:
        try:
            self._make()
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._group is not None:
            self._group.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, database: str) -> None:
        """Make an empty database."""
        self.query("postgres", f"CREATE DATABASE {database}")

    def query(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run one statement; return its rows."""
        place = {"host": "127.0.0.1", "port": self.port, "user": "mvdpp", "password": self.password}
        connection = psycopg2.connect(dbname=database, connect_timeout=10, **place)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        self._folder.chmod(0o755)
        if os.geteuid() == 0:
            for path in (self._folder, secret):
                os.chown(path, int(NOBODY), int(NOBODY))
        options = [
            "-U",
            "mvdpp",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "--no-locale",
            "-E",
            "UTF8",
        ]
        words = [*_unprivileged(), str(self._programs / "initdb"), "-D", str(self._data), *options]
        made = subprocess.run(words, cwd=self._folder, capture_output=True, text=True, timeout=300, check=False)
        assert made.returncode == 0, made.stderr

    def _start(self) -> None:
        settings = ["unix_socket_directories=", "fsync=off", "max_connections=200"]
        words = [str(self._programs / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-p", str(self.port)]
        words += [part for setting in settings for part in ("-c", setting)]
        with (self._folder / "log").open("w") as log:
            # A change of user makes the kernel forget that the command ends with its parent, so setpriv says it again.
            self._group = ProcessGroup([*_unprivileged("--pdeathsig", "TERM"), *words], root=self._folder, output=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._group.exit_code() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return bool(self.query("postgres", "SELECT 1"))
        except psycopg2.OperationalError:
            return False


def _unprivileged(*options: str) -> list[str]:
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *options]
