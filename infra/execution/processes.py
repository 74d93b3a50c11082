"""Runs commands so that no process is left: each in a process group of its own, which is ended as a whole."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Self

import psutil

from infra.execution.die_with_parent import tied

TERM_GRACE = 15.0
"""Seconds between SIGTERM and SIGKILL."""
KILL_GRACE = 5.0
KILLED_SECONDS = 60.0
"""So long a process that was killed may take to be gone beside much other work."""


class ProcessGroup:
    """A running command with all processes that it has started; as a context manager it is stopped at the end.

    When this process is killed, the command gets SIGTERM (Linux).
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        root: Path,
        env: Mapping[str, str] | None = None,
        output: IO[str] | int | None = None,
        grace: float = TERM_GRACE,
    ) -> None:
        """Start the command. The thread that does so must live as long as the command.

        Args:
            command: Program and arguments.
            root: Folder it runs in.
            env: Variables added to this process's environment.
            output: Takes stdout and stderr: an open file, subprocess.PIPE for `lines()`, or None for those of this
                process.
            grace: Seconds that the command has between SIGTERM and SIGKILL at the end of the `with` block.
        """
        self._grace = grace
        self._process = subprocess.Popen(
            tied(command),
            cwd=root,
            env=environment(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop(self._grace)

    def lines(self) -> Iterator[str]:
        """Yield what the command prints, line by line, until it ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            yield line.rstrip()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self._process.wait()

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        return self._process.poll()

    def stop(self, grace: float = TERM_GRACE) -> None:
        """Send SIGTERM to the group and every descendant, and SIGKILL to what is left after `grace` seconds.

        Returns when no process is left. A signal to this process meanwhile ends the grace and is raised afterwards.
        Not SIGINT: a process started in the background by a shell may have it ignored.
        """
        with _signals_wait() as came:
            self._stop(grace, came)

    def _stop(self, grace: float, came: list[int]) -> None:
        family = self._members()
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_GRACE)):
            for process in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            deadline = time.monotonic() + seconds
            while family and time.monotonic() < deadline and (number == signal.SIGKILL or not came):
                time.sleep(0.05)
                family = [process for process in {*family, *self._members()} if is_alive(process)]
        self._process.poll()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _members(self) -> list[psutil.Process]:
        """Return the living processes of the group, orphans included, and descendants with groups of their own."""
        self._process.poll()
        group = [process for process in psutil.process_iter() if _is_in(process, self._process.pid)]
        family = {child for process in group for child in _children(process)}
        return [process for process in {*group, *family} if is_alive(process)]


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Let SIGTERM raise SystemExit and SIGINT KeyboardInterrupt, even where the parent process had them ignored."""
    before = {number: signal.signal(number, _raise) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_wait() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT, and raise the first one again at the end."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came  # handlers run in the main thread alone, so nothing interrupts this one
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child: this one, `extra`, and this Python first on PATH for dvc.yaml's `python`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, **extra}


def _raise(number: int, frame: FrameType | None) -> None:
    del frame
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _is_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group
    except (ProcessLookupError, PermissionError):
        return False


def runs(pid: int) -> bool:
    """Return whether a process of that number runs on this machine; a zombie does not."""
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def catches_sigterm(process: psutil.Process) -> bool:
    """Return whether a process does something of its own on SIGTERM; where that cannot be known, that it does."""
    try:
        rows = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return True
    caught = next((int(row.split()[1], 16) for row in rows if row.startswith("SigCgt:")), -1)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def kill_marked(variable: str, value: str) -> None:
    """Kill every process that was started with this variable in its environment, orphans included.

    Returns when none is left, or after KILLED_SECONDS.
    """
    deadline = time.monotonic() + KILLED_SECONDS
    while time.monotonic() < deadline and (left := marked(variable, value)):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


def marked(variable: str, value: str) -> list[psutil.Process]:
    """Return the living processes that were started with this variable in their environment, but for this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(variable) == value and process.pid != os.getpid() and is_alive(process):
                found.append(process)
    return found


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []
