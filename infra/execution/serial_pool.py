"""One item after the other in this process: nothing to start, easy to debug. It cannot end an item that hangs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic

from infra.execution.worker_log import FailedMaker, Job, OutcomeT, WorkError, attempt, last_lines


class SerialPool(Generic[OutcomeT]):
    """Runs work in this process; `failed` makes the outcome of an item whose work raises."""

    def __init__(self, *, failed: FailedMaker[OutcomeT]) -> None:
        self.num_workers = 1
        self._failed = failed

    def run(self, work: Callable[[Any], OutcomeT], jobs: Sequence[Job]) -> Iterator[OutcomeT]:
        """Yield one outcome per job, in order."""
        for job in jobs:
            answer = attempt(work, job)
            if isinstance(answer, WorkError):
                yield self._failed(uid=job.uid, error=answer.error, log=last_lines(answer.trace), attempts=1)
            else:
                yield answer

    def close(self) -> None:
        """Do nothing: no process is held."""
