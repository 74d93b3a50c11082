"""Runs a command that is asked to end when the process that started it does.

`python -m infra.execution.die_with_parent PID COMMAND...`

PID: of the process that starts it. Linux only; elsewhere the command runs untied.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command; it gets SIGTERM when its parent dies."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):
            raise SystemExit("the process that started this one is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606  what our own program was told to run
    except OSError as error:
        raise SystemExit(f"cannot run {command[0]!r}: {error.strerror}") from error


if __name__ == "__main__":
    main()
