"""One run at a time in one checkout: whoever changes params.yaml or walks the graph holds its lock.

The lock is the kernel's (flock, through filelock), so nothing is to be cleaned up after a process that was killed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flows.pipeline import WORK


@contextmanager
def only_run(root: Path) -> Iterator[None]:
    """Hold the checkout's lock for the length of a `with` block.

    Raises RuntimeError when another process holds it.
    """
    path = root / WORK / "flow.lock"
    path.parent.mkdir(exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(path, timeout=0, fallback_to_soft=False))
        except Timeout:
            raise RuntimeError(f"{root} already has a run; wait for it, cancel it, or use another clone") from None
        yield
