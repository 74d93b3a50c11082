"""Keeps Blender's progress lines off the terminal without losing them when something goes wrong."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from wurlitzer import pipes

TAIL_BYTES = 2000


@contextmanager
def captured_stdout() -> Iterator[None]:
    """Send everything that this process writes to stdout, C code included, to a temporary file.

    An exception leaves with the last TAIL_BYTES of the file as a note, if it has any. Stderr is left alone, so that a
    crash is seen. The redirection is that of the whole process: keep it short and never hold it across a `yield`.
    """
    with tempfile.TemporaryFile() as log:
        try:
            with pipes(stdout=log, stderr=None):  # into a file wurlitzer redirects directly, without a thread
                yield
        except BaseException as error:
            if printed := tail(log).strip():
                error.add_note("Blender printed last:\n" + printed)
            raise


def tail(file: IO[bytes]) -> str:
    """Return the last TAIL_BYTES of an open file as text, wherever its position is."""
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES)).decode(errors="replace")
