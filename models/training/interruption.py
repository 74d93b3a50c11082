"""Graceful termination: after SIGTERM or SIGINT the step in progress is finished and its state saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(SystemExit):
    """Raised when the training was asked to stop and has saved its state; the same command resumes it.

    A SystemExit, so that the process ends with the message on stderr and status 1.
    """


@contextmanager
def stop_on_signal(*, ignore_repeats: bool = False) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGTERM or SIGINT has arrived; a second signal ends the process at once.

    Signals reach the main thread only; in any other thread the function always returns False.

    Args:
        ignore_repeats: Ignore signals after the first one; for a process that several others signal at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    arrived = threading.Event()
    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(_number: int, _frame: FrameType | None) -> None:
        arrived.set()
        if not ignore_repeats:
            restore()

    for number in previous:
        signal.signal(number, note)
    try:
        yield arrived.is_set
    finally:
        restore()
