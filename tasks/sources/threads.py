"""Threads that wait for servers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def download_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads; at the end it waits for them, but not where the process is told to end.

    A thread that waits for a silent server would hold the process for minutes.
    """
    threads = ThreadPoolExecutor(count, thread_name_prefix="download")
    is_told_to_end = False
    try:
        yield threads
    except (KeyboardInterrupt, SystemExit):
        is_told_to_end = True
        raise
    finally:
        threads.shutdown(wait=not is_told_to_end, cancel_futures=True)
