"""A pool of worker processes that Ray runs, on this machine or a cluster: a crash or a hang costs one item.

Every node of a cluster must see the project folder and the log folder under the same path.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from infra.execution.worker_log import FailedMaker, Job, OutcomeT

if TYPE_CHECKING:
    from infra.execution.ray_connection import RayConnection

OBJECT_STORE_BYTES = 100 * 2**20
"""Jobs and outcomes are small; the work itself travels by file."""


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
        self, *, failed: FailedMaker[OutcomeT], workers: int, limits: Limits, log_dir: Path, address: str | None = None
    ) -> None:
        """Prepare the pool; no process is started yet.

        Args:
            failed: Makes the outcome of an item that fails.
            workers: Number of worker processes.
            limits: What each may take.
            log_dir: Takes `worker-N.log` of each.
            address: Cluster to attach to; None: a private Ray on this machine.
        """
        self.num_workers = workers
        self._failed = failed
        self.limits = limits
        self._log_dir = log_dir
        self._address = address
        self._connection: RayConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def run(self, work: Callable[[Any], OutcomeT], jobs: Sequence[Job]) -> Iterator[OutcomeT]:
        """Yield one outcome per job as it ends, in any order.

        An item whose work raises or exceeds the time limit fails at once; one whose process dies is tried once more.
        Raises RuntimeError when no process comes up at all.
        """
        if not jobs:
            return
        # Importing Ray takes a second, which a stage whose items are all done saves.
        from infra.execution.ray_connection import RayConnection
        from infra.execution.ray_scheduler import Scheduler

        self._connection = self._connection or RayConnection(self._address, self.num_workers)
        self._connection.open()
        yield from Scheduler(work, jobs, self._failed, self.limits, self._log_dir).run(self.num_workers)

    def close(self) -> None:
        """End the private Ray, or leave the cluster; every worker process is gone afterwards."""
        if self._connection is not None:
            self._connection.close()
