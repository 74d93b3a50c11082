"""Work for the pools' tests; a module of its own, so that worker processes can import it."""

import ctypes
import os
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.outcome import Done, Json, Outcome, Rejected


@dataclass(frozen=True)
class Task:
    """A job whose uid says what to do; files made beside `folder` count the attempts."""

    uid: str
    folder: Path

    @property
    def reads(self) -> Sequence[Path]:
        return ()

    @property
    def writes(self) -> Sequence[Path]:
        return (self.folder / self.uid,)


def obey(task: Task) -> Outcome:
    """Do what the uid's first word says."""
    word = task.uid.partition("-")[0]
    print(f"about to {word}")  # noqa: T201 what is printed must reach the log
    with (task.folder / task.uid).open("a") as attempts:
        attempts.write(f"{os.getpid()}\n")
    match word:
        case "reject":
            return Rejected(task.uid, "not wanted")
        case "raise":
            raise ValueError("the teapot has no lid")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "crash_once" if len((task.folder / task.uid).read_text().split()) == 1:
            os.kill(os.getpid(), signal.SIGABRT)
        case "hang":
            ctypes.PyDLL(None).sleep(3600)  # holds the interpreter's lock, as native code may
        case "meet":
            meet(task.folder, task.uid.split("-")[1])
        case "lock":
            return Done(task.uid, {"lock": threading.Lock()})  # type: ignore[dict-item] # does not pickle
    facts: dict[str, Json] = {"pid": os.getpid(), "temporary": tempfile.gettempdir(), "node": node()}
    return Done(task.uid, facts | {"niceness": os.nice(0)})


def meet(folder: Path, number: str) -> None:
    """Wait until a process on another node comes to the meeting of this number."""
    (folder / f"at-{number}-{node()}").touch()
    while len(list(folder.glob(f"at-{number}-*"))) < 2:
        time.sleep(0.1)


def node() -> str:
    """The node of a cluster that this process runs on."""
    import ray

    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else "none"
