"""Work in a thread whose news are read, one after the other, by whoever waits for its result."""

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from tasks.commands.sampler import InterruptedSamplingError

NewsT = TypeVar("NewsT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Result(Generic[ResultT]):
    """What the work came to; the last that is yielded."""

    value: ResultT


def narrated(
    work: Callable[[Callable[[NewsT], None], Callable[[], bool]], ResultT],
) -> Generator[NewsT | Result[ResultT], None, None]:
    """Do `work` in a thread and yield what it tells meanwhile, at last its result.

    Args:
        work: Given a function that takes its news, and one that says whether the result is still wanted: closing the
            iterator is to want it no more.

    Raises what `work` raises.
    """
    told: queue.Queue[NewsT | Result[ResultT] | Exception] = queue.Queue()
    is_left = threading.Event()

    def run() -> None:
        try:
            told.put(Result(work(told.put, lambda: not is_left.is_set())))
        except InterruptedSamplingError:
            if not is_left.is_set():
                raise
        except Exception as error:  # noqa: BLE001  it crosses to the thread that yields, which raises it
            told.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while True:
            news = told.get()
            if isinstance(news, Exception):
                raise news
            yield news
            if isinstance(news, Result):
                return
    finally:
        is_left.set()
