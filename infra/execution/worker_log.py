"""Keeps what a worker process prints, native code included, in a file, so that it can be read after a crash.

Also the records of one item's work: `Job`, `attempt`, `WorkError`.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

OutcomeT = TypeVar("OutcomeT")
OutcomeT_co = TypeVar("OutcomeT_co", covariant=True)
TAIL_LINES = 40
TAIL_BYTES = 1 << 16
SENT_CODE = re.compile(r"/\S*/py_modules_files/_ray_pkg_\w+/")
"""Where Ray puts code that it sends to a node."""


class Job(Protocol):
    """One item of work; must pickle to leave this process."""

    @property
    def uid(self) -> str:
        """The item's name."""
        ...


class FailedMaker(Protocol[OutcomeT_co]):
    """Makes the outcome of an item that failed; the pool's caller chooses its type."""

    def __call__(self, *, uid: str, error: str, log: str, attempts: int) -> OutcomeT_co:
        """Make the outcome.

        Args:
            uid: The item's name.
            error: What went wrong, in one sentence.
            log: The last lines that the worker printed.
            attempts: How often the item was tried.
        """
        ...


@dataclass(frozen=True)
class WorkError:
    """An exception that came out of the work on one item."""

    error: str
    """Type, message and the place it was raised at."""
    trace: str
    log: str = ""
    """The last lines that the worker printed."""


def attempt(work: Callable[[Any], OutcomeT], job: Job) -> OutcomeT | WorkError:
    """Return the outcome of the work on an item, or a WorkError with what it raised."""
    try:
        return work(job)
    except Exception as error:  # noqa: BLE001 one item must not take the others with it
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = "/".join(Path(last.filename).parts[-2:])
        text = f"{type(error).__name__}: {error} ({place}:{last.lineno} in {last.name})"
        return WorkError(text, "".join(traceback.format_exception(error)))


def capture_output(path: Path) -> None:
    """Append everything that this process prints from now on to a file, native code included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def size(path: Path) -> int:
    """Return the bytes in a log so far; 0 where it does not exist yet."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, start: int) -> str:
    """Return the last lines of a log after byte `start`; empty where this machine does not see the file."""
    if not path.exists():
        return ""
    with path.open("rb") as handle:
        handle.seek(max(start, size(path) - TAIL_BYTES))
        return last_lines(handle.read().decode(errors="replace"))


def last_lines(text: str) -> str:
    """Return the last TAIL_LINES lines of a text, with paths relative to the project folder or to the code."""
    return "\n".join(SENT_CODE.sub("", text.replace(f"{Path.cwd()}/", "")).splitlines()[-TAIL_LINES:])
