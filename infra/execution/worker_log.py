"""What a worker printed, native code included, in a file of its own: a dead process can still be read."""

import os
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


class Job(Protocol):
    """One item of work; must pickle to leave this process."""

    @property
    def uid(self) -> str:
        """Names the item."""
        ...


class FailedMaker(Protocol[OutcomeT_co]):
    """Makes the record of a failed item; what it is made of is the caller's affair."""

    def __call__(self, *, uid: str, error: str, log: str, attempts: int) -> OutcomeT_co:
        """`log` holds the last lines printed, `attempts` how often the item was tried."""
        ...


@dataclass(frozen=True)
class WorkError:
    """An exception that came out of the work on one item."""

    error: str
    """Type, message and the place it was raised at."""
    trace: str


def attempt(work: Callable[[Any], OutcomeT], job: Job) -> OutcomeT | WorkError:
    """Do the work; an exception becomes a record. The only place that catches everything."""
    try:
        return work(job)
    except Exception as error:  # noqa: BLE001 one item must not take the others with it
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = "/".join(Path(last.filename).parts[-2:])
        text = f"{type(error).__name__}: {error} ({place}:{last.lineno} in {last.name})"
        return WorkError(text, "".join(traceback.format_exception(error)))


def capture_output(path: Path) -> None:
    """Append everything this process prints from now on to `path`, whatever language prints it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 lives as long as the process
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


def size(path: Path) -> int:
    """Bytes in the log so far; none where it does not exist yet."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, start: int) -> str:
    """The last lines written after byte `start`; empty where the file cannot be seen from this machine."""
    if not path.exists():
        return ""
    with path.open("rb") as handle:
        handle.seek(max(start, size(path) - TAIL_BYTES))
        return last_lines(handle.read().decode(errors="replace"))


def last_lines(text: str) -> str:
    """The last lines of `text`, with paths as seen from the project folder."""
    return "\n".join(text.replace(f"{Path.cwd()}/", "").splitlines()[-TAIL_LINES:])
