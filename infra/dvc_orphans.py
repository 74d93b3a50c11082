"""Ends a stage with the `dvc repro` that started it, and waits for what a killed one has left.

DVC tells the command of a stage the checkout and the stage by two environment variables, which all that it starts has
too; and it notes the number of its own process beside the files that the stage writes (infra/dvc_locks.py).
"""

import logging
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from dvc.env import DVC_ROOT, DVC_STAGE

from infra.dvc_locks import holders
from infra.execution.end_with import end_with
from infra.execution.processes import catches_sigterm, is_alive
from infra.execution.torchrun import SHUTDOWN_SECONDS

POLL_SECONDS = 0.25
logger = logging.getLogger(__name__)


def await_others(root: Path, tmp_dir: Path) -> None:
    """Return when no other DVC command holds files of the checkout `root`, and nothing that a killed one began runs.

    Says whom it waits for. `tmp_dir` is the checkout's .dvc/tmp.
    """
    said: set[int] = set()
    while others := [holder for holder in holders(tmp_dir) if holder.pid != os.getpid()]:
        for holder in others:
            if holder.pid not in said:
                logger.warning("process %d (%s) works in %s; waiting for its end", holder.pid, holder.cmd, root)
                said.add(holder.pid)
        time.sleep(POLL_SECONDS)
    end_orphans(root, tmp_dir)


def end_orphans(root: Path, tmp_dir: Path, stage: str = "") -> None:
    """Return when nothing runs any more that a killed DVC command of the checkout has started for `stage` ("": any).

    What saves its work on SIGTERM has got one when DVC ended, and has SHUTDOWN_SECONDS for it; the rest is ended.
    """
    left = [process for process in _orphans(root, tmp_dir, stage) if is_alive(process)]
    if not left:
        return
    numbers = ", ".join(str(process.pid) for process in left)
    logger.warning(
        "waiting for what a killed run has left in %s: process %s (at most %d s)", root, numbers, SHUTDOWN_SECONDS
    )
    _signal([process for process in left if not catches_sigterm(process)], signal.SIGTERM)
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        left = [process for process in left if is_alive(process)]
    _signal(left, signal.SIGKILL)


def end_with_dvc(tmp_dir: Path, outs: Collection[str]) -> psutil.Process:
    """Let this process get SIGTERM when the DVC command ends that has started it to make `outs` (absolute paths).

    After SHUTDOWN_SECONDS more it is killed with all that it has started. Returns the process of the DVC command.
    Raises RuntimeError when DVC has ended already.
    """
    above = {process.pid: process for process in psutil.Process().parents()}
    ours = [holder.pid for holder in holders(tmp_dir, outs) if holder.pid in above]
    if not ours:
        raise RuntimeError("the `dvc` that started this stage has ended, so the stage does not begin")
    end_with(above[ours[0]], "the `dvc` of this stage", SHUTDOWN_SECONDS)
    return above[ours[0]]


def _orphans(root: Path, tmp_dir: Path, stage: str) -> Iterator[psutil.Process]:
    """All processes that DVC has started in the checkout, none of whose ancestors is a DVC command that runs there."""
    living = {holder.pid for holder in holders(tmp_dir)}
    family = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = process.environ()
            if told.get(DVC_ROOT) != str(root) or stage not in ("", told.get(DVC_STAGE)):
                continue
            above = {parent.pid for parent in process.parents()}
            if process.pid not in family and not above & (living | {os.getpid()}):
                yield process


def _signal(processes: Collection[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
