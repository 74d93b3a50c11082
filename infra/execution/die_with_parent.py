"""Lets a process end when the process that started it does, however that one ends.

`python die_with_parent.py PID COMMAND...` runs COMMAND so; PID is that of the process that starts it. Standard library
only, so that it also runs in a folder from which this project cannot be imported.
Linux only; elsewhere a process outlives a parent that is killed.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def tied(command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` until this process dies, and then sends it SIGTERM.

    The kernel sends it when the thread ends that has started the command.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def die_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Replace this process by the command, which gets SIGTERM when the parent dies."""
    parent, *command = sys.argv[1:]
    die_with_parent()
    if sys.platform == "linux" and os.getppid() != int(parent):
        raise SystemExit("the process that started this one is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606  what our own program was told to run
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]!r}: {error.strerror}") from error


if __name__ == "__main__":
    main()
