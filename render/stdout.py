"""Keeps Blender's progress lines off the terminal without losing them when something goes wrong."""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

TAIL_BYTES = 2000


@contextmanager
def captured_stdout() -> Iterator[None]:
    """Send all that this process writes to stdout, C code included, to a temporary file.

    An exception leaves with the last lines of it as a note. Stderr is left alone: a crash must be able to speak.
    Acts on the whole process, so keep it short and never hold it across a `yield`.
    """
    flush()
    stdout = os.dup(1)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 1)
        try:
            yield
        except BaseException as error:
            flush()
            error.add_note("Blender printed last:\n" + tail(log.fileno()))
            raise
        finally:
            flush()
            os.dup2(stdout, 1)
            os.close(stdout)


def flush() -> None:
    """Empty Python's and C's buffers, so that each line goes where stdout pointed when it was printed."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)


def tail(descriptor: int) -> str:
    """The last lines of an open file."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES)).decode(errors="replace")
