"""One run at a time in one checkout: whoever changes params.yaml or walks the graph holds its lock.

The lock is the kernel's (flock), so it needs no library and no clean-up after a process that was killed.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.pipeline import WORK


@contextmanager
def only_run(root: Path) -> Iterator[None]:
    """Hold the checkout's lock for the length of a `with` block.

    Raises RuntimeError when another process holds it.
    """
    path = root / WORK / "flow.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"{root} already has a run; wait for it, cancel it, or use another clone") from None
        yield
