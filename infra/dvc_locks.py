"""What a killed `dvc` leaves in .dvc/tmp/rwlock, where DVC notes which process reads and writes which files.

Every change of that file is made under a lock of the system (rwlock.lock), which ends with its process; the notes
themselves outlive their process, and a process that is killed while it writes leaves half of them.
"""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
from dvc.fs import localfs
from dvc.lock import make_lock
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA, Invalid, _edit_rwlock

from infra import dvc_folders
from infra.execution.processes import is_alive, runs

logger = logging.getLogger(__name__)


def forget_ended_runs(root: Path, tmp_dir: Path) -> None:
    """Free what a killed `dvc repro` of the checkout `root` still holds; `tmp_dir` is its .dvc/tmp.

    DVC does so itself where the process is gone, but not where it is a zombie, which stays as long as nobody collects
    it: in a container without an init, for ever. Nor does DVC start again while the file cannot be read: such a file is
    removed with a warning. Raises ValueError when it cannot be read and a process that may hold it still runs.
    """
    path = tmp_dir / RWLOCK_FILE
    if not path.exists():
        return
    with make_lock(str(tmp_dir / RWLOCK_LOCK)):  # so nobody is writing it now
        text = path.read_bytes().decode(errors="replace")
        if not _is_readable(text):
            _require_no_holder(path, text, root)
            path.unlink()
            logger.warning("%s was torn when DVC was killed, and is removed; no DVC process runs in %s", path, root)
    with _edit_rwlock(str(tmp_dir), localfs, False) as held:
        held["write"] = {name: row for name, row in held["write"].items() if runs(row["pid"])}
        held["read"] = {name: [row for row in rows if runs(row["pid"])] for name, rows in held["read"].items()}


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
        words = [Path(word).name for word in process.info["cmdline"] or []]
        # `dvc`, `python .../bin/dvc`, `python -m dvc`, `python -P .../infra/dvc_folders.py`
        if not {"dvc", Path(dvc_folders.__file__).name} & set(words[:3]) or "daemon" in words:
            continue
        try:
            if is_alive(process) and Path(process.cwd()).is_relative_to(root):
                yield process.pid
        except psutil.AccessDenied:
            yield process.pid
        except psutil.NoSuchProcess:
            continue
