"""Ends this process when another one does, which need not be its parent."""

import logging
import os
import signal
import threading
import time
from contextlib import suppress

import psutil

from infra.execution.processes import is_alive

POLL_SECONDS = 0.25
logger = logging.getLogger(__name__)


def end_with(other: psutil.Process, name: str, grace: float) -> None:
    """Let this process get SIGTERM when `other` has ended, and be killed with all its children `grace` seconds later.

    `name` says in the warning who has ended.
    """
    threading.Thread(target=_watch, args=(other, name, grace), name="end-with", daemon=True).start()


def _watch(other: psutil.Process, name: str, grace: float) -> None:
    while is_alive(other):
        time.sleep(POLL_SECONDS)
    logger.warning("%s was killed; process %d, which it has started, ends too", name, os.getpid())
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
