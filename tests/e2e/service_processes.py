"""The services of infra/deploy/compose.yaml as plain processes on free ports, beside a real PostgreSQL and moto's S3.

Commands and environments are the file's own; PostgreSQL and the S3 store, whose images cannot run here, are replaced by
servers that speak the same interfaces.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.execution.processes import ProcessGroup
from infra.health import request_error
from tests.infra.compose import Service, services
from tests.infra.postgres import PostgresServer, free_port
from tests.infra.s3 import S3Server
from tests.project_copy import ROOT

START_SECONDS = 900.0
DATABASES = ("prefect", "mlflow")


def wait_for(is_true: Callable[[], bool], why_not: Callable[[], str], seconds: float = START_SECONDS) -> None:
    """Return once `is_true()`; fail with what `why_not()` says after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, why_not()
        time.sleep(0.2)


@dataclass
class ServiceProcesses:
    """The services of one host; they end with the `with` block. `logs` takes what each prints, as NAME.log."""

    project: Path
    """The checkout that the worker serves."""
    profile: str
    """File of the worker's profile."""
    logs: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables added to the environment of every service."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._groups: dict[str, ProcessGroup] = {}
        self._beginnings: dict[str, int] = {}
        self.logs.mkdir(parents=True)
        try:
            self.postgres = self._stack.enter_context(PostgresServer())
            self.s3 = self._stack.enter_context(S3Server())
            self.prefect_port, self.mlflow_port = free_port(), free_port()
            self.services = services(self._variables())
            for database in DATABASES:
                assert f"CREATE DATABASE {database};" in (ROOT / "infra/deploy/databases.sql").read_text()
                self.postgres.create(database)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def api(self) -> str:
        """Address of Prefect's API."""
        return f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def mlflow(self) -> str:
        """Address of MLflow's server."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def client(self) -> dict[str, str]:
        """The environment of a command that asks these services."""
        return self._of(self.services["worker"])

    def start(self, *names: str) -> None:
        """Start services; return once each answers."""
        for name in names:
            root = self.project if name == "worker" else ROOT
            log = self._stack.enter_context((self.logs / f"{name}.log").open("a"))
            self._beginnings[name] = log.tell()
            group = ProcessGroup(self.services[name].command, root=root, env=self._of(self.services[name]), output=log)
            self._groups[name] = self._stack.enter_context(group)
        for name in names:
            wait_for(partial(self._is_ready, name), partial(self.said, name))

    def run(self, name: str) -> None:
        """Run a service that does one thing and ends."""
        with (self.logs / f"{name}.log").open("a") as log:
            service = self.services[name]
            with ProcessGroup(service.command, root=ROOT, env=self._of(service), output=log) as group:
                assert group.wait() == 0, self.said(name)

    def stop(self, name: str, *, grace: float = 60.0) -> None:
        """End a service: with SIGTERM, and `grace` seconds later with SIGKILL; 0 kills it at once."""
        self._groups.pop(name).stop(grace)

    def said(self, name: str) -> str:
        """The end of what a service has printed."""
        return (self.logs / f"{name}.log").read_text(errors="replace")[-4000:]

    def ask(self, path: str, **body: Any) -> Any:
        """Send a POST request to Prefect's API and return its answer."""
        return json.loads(self.send(path, body))

    def send(self, path: str, body: object) -> bytes:
        """Send any body to Prefect's API and return the bytes of the answer."""
        request = urllib.request.Request(
            f"{self.api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def _variables(self) -> dict[str, str]:
        return {
            "MVDPP_POSTGRES_PASSWORD": self.postgres.password,
            "MVDPP_POSTGRES_PORT": str(self.postgres.port),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "MVDPP_S3_PORT": self.s3.url.rpartition(":")[2],
            "MVDPP_PREFECT_PORT": str(self.prefect_port),
            "MVDPP_MLFLOW_PORT": str(self.mlflow_port),
            "MVDPP_MLFLOW_WORKERS": "1",
            "MVDPP_PROFILE": self.profile,
        }

    def _of(self, service: Service) -> dict[str, str]:
        return {"PREFECT_HOME": str(self.logs / "home"), "DO_NOT_TRACK": "1", **self.settings, **service.environment}

    def _is_ready(self, name: str) -> bool:
        assert self._groups[name].exit_code() is None, self.said(name)
        if name == "worker":
            return b"Ctrl-C" in (self.logs / "worker.log").read_bytes()[self._beginnings[name] :]
        words = self.services[name].definition["healthcheck"]["test"]
        return request_error(words[-1]) is None
