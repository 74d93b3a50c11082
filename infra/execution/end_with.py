"""Ends this process when another one does, which need not be its parent."""

import logging
import os
import signal
import threading
import time
from contextlib import suppress

import psutil

from infra.execution.processes import KILL_GRACE, TERM_GRACE, is_alive

POLL_SECONDS = 0.25
OWNER_SECONDS = 2 * (TERM_GRACE + KILL_GRACE)
"""So long an owner may take to end what it owns."""
logger = logging.getLogger(__name__)


def end_with(other: psutil.Process, name: str, grace: float) -> None:
    """Let this process get SIGTERM when `other` has ended, and be killed with all its children `grace` seconds later.

    Where `other` is the command of a ProcessGroup, it is the owner of that who tells this process, as long as it lives:
    a second SIGTERM would break off what the first has begun. `name` says in the warning who has ended.
    """
    owner = other.parent() if os.getsid(other.pid) == other.pid else None
    threading.Thread(target=_watch, args=(other, owner, name, grace), name="end-with", daemon=True).start()


def _watch(other: psutil.Process, owner: psutil.Process | None, name: str, grace: float) -> None:
    while is_alive(other):
        time.sleep(POLL_SECONDS)
    deadline = time.monotonic() + OWNER_SECONDS
    while owner is not None and is_alive(owner) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    logger.warning("%s was killed; process %d, which it has started, ends too", name, os.getpid())
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)
