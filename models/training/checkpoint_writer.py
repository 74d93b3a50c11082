"""Writes checkpoints in a thread, from a copy of the state, so that the training goes on meanwhile."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from models.training.checkpoints import Checkpoints, is_quantized


class CheckpointWriter:
    """Saves states of a training one after the other; a context manager that ends with nothing left to write.

    The training waits for the copy alone, in pinned memory where the state lies on a GPU. An error of the thread, such
    as a full disk, is raised by the next call.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        """Write into the folder of `checkpoints`."""
        self._checkpoints = checkpoints
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-checkpoint")
        self._pending: Future[Path] | None = None
        self._pinned: list[Tensor] = []
        """Host memory of the last copy, which the next one takes again."""

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish what is being written; its error must not hide the one that ended the training."""
        try:
            self.wait()
        except OSError:
            if error is None:
                raise
        finally:
            self._thread.shutdown()

    def save(self, samples_seen: int, state: dict[str, Any], *, is_best: bool) -> None:
        """Copy the state and begin to write it; waits for the one before, so that at most one copy exists.

        Args:
            samples_seen: The clock of the training.
            state: Nested dicts and lists of tensors and plain values; may change once this has returned.
            is_best: Also keep it as the best one.

        Raises:
            OSError: What was written before has failed.
        """
        self.wait()
        self._pending = self._thread.submit(self._checkpoints.save, samples_seen, self._copy(state), is_best=is_best)

    @property
    def is_writing(self) -> bool:
        """Whether something is being written now."""
        return self._pending is not None and not self._pending.done()

    def raise_error(self) -> None:
        """Raise the OSError that has ended the writing, if one has; waits for nothing."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait until all is written; raises its OSError."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _copy(self, state: dict[str, Any]) -> dict[str, Any]:
        free, used = iter(self._pinned), list[Tensor]()

        def copy_tensor(tensor: Tensor) -> Tensor:
            if not tensor.is_cuda:
                return tensor.detach().clone()
            if is_quantized(tensor):
                return tensor.detach().cpu()
            host = next(free, None)
            if host is None or (host.shape, host.dtype) != (tensor.shape, tensor.dtype):
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            used.append(host)
            return host.copy_(tensor.detach(), non_blocking=True)

        copied: dict[str, Any] = _map_tensors(state, copy_tensor)
        if used:
            torch.cuda.synchronize()
        self._pinned = used
        return copied


def _map_tensors(state: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Rebuild nested dicts, lists and tuples with every tensor changed."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {key: _map_tensors(value, change) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(_map_tensors(value, change) for value in state)
    return state
