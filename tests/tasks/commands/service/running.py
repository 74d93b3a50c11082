"""The service in this process, on an event loop in a thread."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tasks.commands.service.options import ServiceOptions
from tasks.commands.service.service import ViewService, build_service
from tasks.commands.web_server import serving
from tests.infra.loopback import free_port
from tests.tasks.commands.service.local_workers import LocalWorkers

OPTIONS = ServiceOptions(model="toy", batch=3, batch_wait=0.0, unfinished=4, stop_seconds=20)


class Running:
    """A service that runs in a thread."""

    def __init__(self, address: str, service: ViewService, loop: asyncio.AbstractEventLoop) -> None:
        self.address, self.service, self._loop = address, service, loop

    def post(self, *photos: Path, **fields: object) -> requests.Response:
        parts = [("photos", (path.name, path.read_bytes())) for path in photos]
        return requests.post(f"{self.address}/jobs", files=parts, data=fields, timeout=60)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.address + path, timeout=60, **options)

    def ended(self, job: str) -> dict[str, Any]:
        deadline = time.monotonic() + 120
        while (told := self.get(f"/jobs/{job}").json())["status"] not in ("done", "failed"):
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
        return dict(told)

    def stop(self, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self.service.stop(seconds), self._loop).result(60)


@contextmanager
def running(workers: LocalWorkers, folder: Path, options: ServiceOptions = OPTIONS) -> Iterator[Running]:
    folder.mkdir(exist_ok=True)
    service = build_service(options, folder, workers, workers._model.facts())
    loops: list[asyncio.AbstractEventLoop] = []
    is_started = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not loops:
            loops.append(asyncio.get_running_loop())
            service.start()
            is_started.set()
        await service.app(scope, receive, send)

    with serving(app, "127.0.0.1", free_port()) as address:
        requests.get(f"{address}/health", timeout=60)
        one = Running(address, service, loops[0])
        try:
            yield one
        finally:
            workers.gate.set()
            one.stop(30)
