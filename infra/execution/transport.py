"""Brings the files of jobs to workers that do not see this machine's disk, and brings back what they leave.

It stands between a pool and the work: it makes parcels of jobs, ahead of the workers but not by much, and lets an
outcome pass once the files that belong to it are here. So whoever runs a pool finds what it would find on one machine.
"""

import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Generic

from infra.execution.node_work import NodeCopies
from infra.execution.parcels import Delivery, NodePlace, Parcel, PortableJob, files_of, pack
from infra.execution.sent_files import SentFiles
from infra.execution.worker_log import FailedMaker, OutcomeT
from infra.storage.errors import ServerBusyError

THREADS = 8
"""That put files, and as many that bring them."""
AHEAD = 2 * THREADS
"""Jobs whose files are put before a worker is free."""
MAX_LANDING = 8 * THREADS
"""Outcomes whose files are on their way; more would only wait."""
MAX_OFFLINE = 16
"""So many jobs in a row that the store has no answer for: it is gone, and to wait for each of the rest helps nobody."""
POLL_SECONDS = 0.5
"""How often arrivals are looked for while no worker answers."""


logger = logging.getLogger(__name__)


class Transport(Generic[OutcomeT]):
    """Runs jobs on nodes without a shared disk; `failed` makes the outcome of one whose files do not travel."""

    def __init__(self, place: NodePlace, *, failed: FailedMaker[OutcomeT]) -> None:
        self.place = place
        self._failed = failed
        self._files = SentFiles(place.store)
        self._num_offline = 0

    def check(self) -> None:
        """Raise OSError, in one sentence, when the store does not answer."""
        try:
            self.place.store.check()
        except ConnectionError as error:
            raise ConnectionError(f"{error}; start it, or mend store_url or s3_endpoint in the profile") from error

    def run(
        self,
        work: Callable[[Any], OutcomeT],
        jobs: Sequence[PortableJob],
        run: Callable[[Iterator[Parcel]], Iterator[Any]],
    ) -> Iterator[OutcomeT]:
        """Yield one outcome per job, after its files have arrived.

        Args:
            work: What is done with each job.
            jobs: The jobs.
            run: Runs `do_parcel` (infra.execution.node_work) with each parcel, and yields what it returns, outcomes of
                its own for parcels that fail, and None from time to time while there is neither.

        Raises ConnectionError when the store has no answer for job after job.
        """
        refused: list[OutcomeT] = []
        landing: deque[Future[OutcomeT]] = deque()
        senders, receivers = ThreadPoolExecutor(THREADS, "send"), ThreadPoolExecutor(THREADS, "land")
        try:
            for answer in run(self._parcels(work, jobs, senders, refused)):
                if isinstance(answer, Delivery):
                    landing.append(receivers.submit(self._land, answer))
                elif answer is not None:
                    yield answer
                yield from self._landed(landing, MAX_LANDING)
                yield from drained(refused)
            yield from self._landed(landing, 0)
            yield from drained(refused)
        finally:  # where this ends early nobody waits for the threads, which end with what they are at
            for executor in (senders, receivers):
                executor.shutdown(wait=False, cancel_futures=True)

    def copies(self, folder: Path, names: Sequence[str], key: str) -> Callable[[str], Path]:  # noqa: ARG002 - by hash
        """Put files of a folder into the store, and return what gives a node's copy of one by its name; it pickles.

        Raises what BlobStore.put raises; what is returned raises what BlobStore.get raises.
        """
        with ThreadPoolExecutor(THREADS, "send") as senders:
            blobs = dict(
                zip(names, senders.map(lambda name: self._files.put(absolute(folder / name)), names), strict=True)
            )
        return NodeCopies(blobs, self.place)

    def close(self) -> None:
        """Let no thread wait for the store any longer."""
        self.place.store.close()

    def _parcels(
        self,
        work: Callable[[Any], OutcomeT],
        jobs: Sequence[PortableJob],
        senders: ThreadPoolExecutor,
        refused: list[OutcomeT],
    ) -> Iterator[Parcel]:
        """Yield parcels as they are asked for; jobs whose files cannot be put become outcomes in `refused`."""
        packing: deque[tuple[PortableJob, Future[Parcel]]] = deque()
        waiting = iter(jobs)
        while True:
            for job in waiting:
                packing.append((job, senders.submit(self._pack, work, job)))
                if len(packing) > AHEAD:
                    break
            if not packing:
                return
            job, future = packing.popleft()
            try:
                parcel = future.result()
            except OSError as error:
                refused.append(self._fail(job.uid, error))
            else:
                self._num_offline = 0
                yield parcel

    def pack(
        self,
        uid: str,
        work: Callable[..., Any],
        job: object,
        *,
        reads: Sequence[Path],
        writes: Sequence[Path],
    ) -> Parcel:
        """Put what is read into the store and make a parcel. Raises what BlobStore.put raises."""
        paths = [file for path in reads for file in files_of(absolute(path))]
        return Parcel(
            uid=uid,
            content=pack(work, job),
            reads={str(path): self._files.put(path) for path in paths},
            writes=[str(absolute(path)) for path in writes],
            root=str(Path.cwd()),
            results=f"results/{secrets.token_hex(8)}",
            place=self.place,
        )

    def _pack(self, work: Callable[[Any], OutcomeT], job: PortableJob) -> Parcel:
        return self.pack(job.uid, work, job, reads=job.reads, writes=job.writes)

    def _land(self, delivery: Delivery) -> OutcomeT:
        """Bring the files of an outcome here, then remove them from the store."""
        store, outcome = self.place.store, delivery.outcome
        try:
            for path, blob in delivery.written.items():
                store.get(blob, Path(path))
        except OSError as error:
            return self._fail(outcome.uid, error)
        self._num_offline = 0
        try:
            for blob in delivery.written.values():
                store.delete(blob)
        except OSError as error:  # what is left there costs room, no item
            logger.warning("files that have arrived are not removed from the store: %s", error)
        made: OutcomeT = outcome
        return made

    def _landed(self, landing: deque[Future[OutcomeT]], limit: int) -> Iterator[OutcomeT]:
        """Yield the outcomes whose files are here; wait until at most `limit` are on their way."""
        while landing:
            ended = [future for future in landing if future.done()]
            if not ended and len(landing) > limit:
                ended = list(wait(landing, return_when="FIRST_COMPLETED").done)
            if not ended:
                return
            for future in ended:
                landing.remove(future)
                yield future.result()

    def _fail(self, uid: str, error: OSError) -> OutcomeT:
        if isinstance(error, ConnectionAbortedError):
            raise error
        if isinstance(error, ConnectionError | ServerBusyError):
            self._num_offline += 1
            if self._num_offline >= MAX_OFFLINE:
                raise ConnectionError(
                    f"{error}; it had no answer for {MAX_OFFLINE} objects in a row: run the same command again when it "
                    "has"
                ) from error
        return self._failed(uid=uid, error=f"its files do not travel: {error}", log="", attempts=1)


def absolute(path: Path) -> Path:
    """Return a path from the root, without `..`; links stay what they are."""
    return Path(os.path.normpath(path.absolute()))


def drained(outcomes: list[OutcomeT]) -> Iterator[OutcomeT]:
    """Yield what is in the list, and take it out."""
    while outcomes:
        yield outcomes.pop(0)
