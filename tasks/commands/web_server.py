"""Serves an application on an address of this machine, in a thread, until the caller is done with it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tasks.commands.loopback import App

START_SECONDS = 60.0
STOP_SECONDS = 10


@contextmanager
def serving(app: App, host: str, port: int) -> Iterator[str]:
    """Serve `app` while this is open; yields its address. Answers that are under way are finished first.

    Raises:
        ValueError: The address cannot be had.
    """
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ValueError(
            f"port {port} of {host} cannot be had ({error.strerror or error}): give another one with --port"
        ) from error
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=STOP_SECONDS
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS + 5)
        listener.close()
