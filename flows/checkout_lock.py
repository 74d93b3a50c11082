"""One run at a time in one checkout: whoever changes params.yaml or walks the graph holds its lock.

The lock is the kernel's (flock, through filelock), so nothing is to be cleaned up after a process that was killed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flows.pipeline import WORK

POLL_SECONDS = 1.0


@contextmanager
def only_run(root: Path, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the checkout's lock for the length of a `with` block.

    Args:
        root: The checkout.
        waiting: Is told once that another process holds the lock, which is then waited for; None: that is an error.

    Raises:
        RuntimeError: Another process holds it.
    """
    path = root / WORK / "flow.lock"
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path, timeout=0, fallback_to_soft=False)
    has_said = False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock)
                break
            except Timeout:
                if waiting is None:
                    message = f"{root} already has a run; wait for it, cancel it, or use another clone"
                    raise RuntimeError(message) from None
            if not has_said:
                waiting(f"{root} already has a run; waiting for its end")
                has_said = True
            time.sleep(POLL_SECONDS)
        yield
