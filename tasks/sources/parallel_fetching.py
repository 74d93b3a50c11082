"""Fetches many objects at once and notices a server that is gone. Knows neither what is fetched nor where it goes."""

import errno
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from typing import TypeVar

from tasks.artifacts.tables import Entry
from tasks.outcome import Failed
from tasks.sources.fetched import Fetched, FetchKind
from tasks.sources.threads import download_threads

MAX_CONSECUTIVE_OFFLINE = 16
"""So many objects in a row without an answer: the server is gone, and to wait for each of the rest helps nobody."""
EntryT = TypeVar("EntryT", bound=Entry)


def fetch_in_parallel(
    fetch: Callable[[EntryT], Fetched], entries: Sequence[EntryT], num_threads: int, patience: int
) -> Iterator[Fetched]:
    """Fetch objects in threads and yield what becomes of them; an object without an answer is Failed.

    A server may be busy for one object and serve the others, so that a refusal counts as no answer.

    Raises ConnectionError when `patience` objects in a row have none.
    """
    silent = 0
    with download_threads(num_threads) as threads:
        futures: dict[Future[Fetched], str] = {threads.submit(fetch, entry): entry.uid for entry in entries}
        for future in as_completed(futures):
            try:
                fetched = future.result()
                silent = 0
            except ConnectionError as error:
                silent += 1
                if silent == patience:
                    raise
                kind = FetchKind.BUSY if error.errno == errno.EBUSY else FetchKind.NO_ANSWER
                fetched = Fetched(Failed(futures[future], error.strerror or str(error)), kind)
            yield fetched
