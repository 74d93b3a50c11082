"""What a killed `dvc` leaves in .dvc/tmp/rwlock, where DVC notes which process reads and writes which files.

Every change of that file is made under a lock of the system (rwlock.lock), which ends with its process; the notes
themselves outlive their process, and a process that is killed while it writes leaves half of them.
"""

import json
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from dvc.fs import localfs
from dvc.lock import make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA, Invalid, _edit_rwlock

from infra import dvc_folders
from infra.execution.processes import is_alive, runs

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """A running process that reads or writes files of the checkout, as DVC has noted it."""

    pid: int
    cmd: str


def holders(tmp_dir: Path, files: Collection[str] | None = None) -> list[Holder]:
    """Return who holds files of the checkout now, each process once; nobody where the notes are missing or torn.

    Args:
        tmp_dir: The checkout's .dvc/tmp.
        files: Absolute paths; only those count that write one of them. None: all that write or read anything.
    """
    path = tmp_dir / RWLOCK_FILE
    if not path.exists():
        return []
    with make_lock(str(tmp_dir / RWLOCK_LOCK)):  # so nobody is writing it now
        text, written = path.read_bytes().decode(errors="replace"), path.stat().st_mtime
    if not _is_readable(text):
        return []
    held = SCHEMA(json.loads(text))
    rows = [row for name, row in held["write"].items() if files is None or name in files]
    if files is None:
        root = str(tmp_dir.resolve().parents[1])
        elsewhere = {row["pid"] for name, row in held["write"].items() if not name.startswith(f"{root}{os.sep}")}
        rows += [row for entry in held["read"].values() for row in entry]
        rows = [row for row in rows if row["pid"] not in elsewhere]  # whose notes were copied with the project
    return [Holder(pid, cmd) for pid, cmd in {row["pid"]: row["cmd"] for row in rows if _holds(row, written)}.items()]


def forget_ended_runs(root: Path, tmp_dir: Path) -> None:
    """Free what a killed `dvc repro` of the checkout `root` still holds; `tmp_dir` is its .dvc/tmp.

    DVC does so itself where no process has the number, but not where it is a zombie's, which stays as long as nobody
    collects it (in a container without an init, for ever), or by now another process's. Nor does DVC start again while
    the file cannot be read: such a file is removed with a warning. Raises ValueError when it cannot be read and a
    process that may hold it still runs.
    """
    path = tmp_dir / RWLOCK_FILE
    if not path.exists():
        return
    with make_lock(str(tmp_dir / RWLOCK_LOCK)):
        text, written = path.read_bytes().decode(errors="replace"), path.stat().st_mtime
        if not _is_readable(text):
            _require_no_holder(path, text, root)
            path.unlink()
            logger.warning("%s was torn when DVC was killed, and is removed; no DVC process runs in %s", path, root)
    with _edit_rwlock(str(tmp_dir), localfs, False) as held:
        held["write"] = {name: row for name, row in held["write"].items() if _holds(row, written)}
        held["read"] = {name: [row for row in rows if _holds(row, written)] for name, rows in held["read"].items()}


def _holds(row: Mapping[str, Any], written: float) -> bool:
    """Whether the process of a note, in a file last written at `written`, still runs.

    One that has begun since and is no DVC command has got the number of one that ended.
    """
    try:
        process = psutil.Process(row["pid"])
        return is_alive(process) and (process.create_time() <= written or _is_dvc(process.cmdline()))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _is_readable(text: str) -> bool:
    """Whether DVC can read this as its notes."""
    try:
        SCHEMA(json.loads(text))
    except (ValueError, Invalid):
        return False
    return True


def _require_no_holder(path: Path, text: str, root: Path) -> None:
    """Raise ValueError when a process runs that what is left of the notes names, or any DVC command in the checkout."""
    named = [int(pid) for pid in re.findall(r'"pid": (\d+)', text)]
    for pid in [*named, *_dvc_commands(root)]:
        if runs(pid):
            raise ValueError(
                f"{path} cannot be read, but process {pid} may hold it; wait until it has ended, or end it"
            )


def _dvc_commands(root: Path) -> Iterator[int]:
    """The numbers of all processes that are DVC commands inside `root`, or in a place that may not be looked at."""
    for process in psutil.process_iter(["cmdline"]):
        if not _is_dvc(process.info["cmdline"] or []):
            continue
        try:
            if is_alive(process) and Path(process.cwd()).is_relative_to(root):
                yield process.pid
        except psutil.AccessDenied:
            yield process.pid
        except psutil.NoSuchProcess:
            continue


def _is_dvc(command: Sequence[str]) -> bool:
    """Whether a command line is one of DVC, other than its own daemon.

    That is `dvc`, `python .../bin/dvc`, `python -m dvc` or `python -P .../infra/dvc_folders.py`.
    """
    words = [Path(word).name for word in command]
    return bool({"dvc", Path(dvc_folders.__file__).name} & set(words[:3])) and "daemon" not in words
