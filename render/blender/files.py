"""Files that Blender writes: on a full disk it writes half of one and reports nothing."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def report_full_disk(path: Path, size: int) -> Iterator[None]:
    """Turn an error while `path` is read into OSError(ENOSPC) when the disk has no room for about `size` bytes."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if shutil.disk_usage(path.parent).free > size:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
