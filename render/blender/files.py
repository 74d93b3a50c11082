"""Files that Blender writes: on a full disk it writes half of one and says nothing."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path, size: int) -> Iterator[None]:
    """While `path`, of about `size` bytes, is read: an error becomes OSError(ENOSPC) when the disk has no such room."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if shutil.disk_usage(path.parent).free > size:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
