"""A pool of worker processes that Ray runs, on this machine or a cluster: a crash or a hang costs one item.

Every node of a cluster must see the project folder and the log folder under the same path, unless a transport brings
files to it (infra/execution/transport.py).
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from infra.execution.node_work import do_parcel
from infra.execution.parcels import Parcel, PortableJob
from infra.execution.transport import POLL_SECONDS, Transport
from infra.execution.worker_log import FailedMaker, Job, OutcomeT

if TYPE_CHECKING:
    from infra.execution.ray_connection import RayConnection

OBJECT_STORE_BYTES = 100 * 2**20
"""Jobs and outcomes are small; the work itself travels by file."""

TRANSFER_LIMIT = 900.0
"""Seconds that the files of an item may take beside its work, also while their store is away for a while."""


@dataclass(frozen=True)
class Limits:
    """What a worker process may take; `infra/profile.py` says what each means."""

    time_limit: float
    recycle_after: int
    memory_limit_gb: float
    worker_gpus: float = 0.0


class RayPool(Generic[OutcomeT]):
    """Runs work in worker processes. Ray starts at the first item and ends with `close()`."""

    def __init__(
        self,
        *,
        failed: FailedMaker[OutcomeT],
        workers: int,
        limits: Limits,
        log_dir: Path,
        address: str | None = None,
        transport: Transport[OutcomeT] | None = None,
    ) -> None:
        """Prepare the pool; no process is started yet.

        Args:
            failed: Makes the outcome of an item that fails.
            workers: Number of worker processes.
            limits: What each may take.
            log_dir: Takes `worker-N.log` of each.
            address: Cluster to attach to; None: a private Ray on this machine.
            transport: Brings files to nodes that do not see this machine's disk; None: they see it.
        """
        self.num_workers = workers
        self._failed = failed
        self.limits = limits
        self._log_dir = log_dir
        self._address = address
        self.transport = transport
        self._connection: RayConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, work: Callable[[Any], OutcomeT], jobs: Sequence[PortableJob]) -> Iterator[OutcomeT]:
        """Yield one outcome per job as it ends, in any order.

        An item whose work raises or exceeds the time limit fails at once; one whose process dies is tried once more.
        Raises RuntimeError when no process comes up at all, OSError when a transport's store does not answer.
        """
        if not jobs:
            return
        if self.transport is not None:
            self.transport.check()
        # Importing Ray takes a second, which a stage whose items are all done saves.
        from infra.execution.ray_connection import RayConnection

        self._connection = self._connection or RayConnection(
            self._address, self.num_workers, sends_code=self.transport is not None
        )
        self._connection.open()
        if self.transport is None:
            yield from self._scheduled(work, jobs, len(jobs))
        else:
            yield from self.transport.run(work, jobs, partial(self._sent, self.transport, len(jobs)))

    def _scheduled(self, work: Callable[[Any], OutcomeT], jobs: Sequence[Job], count: int) -> Iterator[OutcomeT]:
        from infra.execution.ray_scheduler import Scheduler

        scheduler = Scheduler(work, jobs, self._failed, self.limits, self._log_dir)
        yield from (answer for answer in scheduler.run(min(self.num_workers, count)) if answer is not None)

    def _sent(self, transport: Transport[OutcomeT], count: int, parcels: Iterator[Parcel]) -> Iterator[Any]:
        from infra.execution.ray_scheduler import Scheduler

        limits = replace(self.limits, time_limit=self.limits.time_limit + TRANSFER_LIMIT)
        logs = Path("logs") / secrets.token_hex(4)
        scheduler = Scheduler[Any](do_parcel, parcels, self._failed, limits, logs, transport.place)
        yield from scheduler.run(min(self.num_workers, count), POLL_SECONDS)

    def close(self) -> None:
        """End the private Ray, or leave the cluster; every worker process is gone afterwards."""
        if self.transport is not None:
            self.transport.close()
        if self._connection is not None:
            self._connection.close()
