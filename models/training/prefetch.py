"""Reads batches ahead of the steps that need them. Knows neither what a batch is nor how it is read."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

BatchT = TypeVar("BatchT")


def prefetched(
    load: Callable[[int], BatchT], steps: range, device: torch.device, num_threads: int = 1
) -> Iterator[BatchT]:
    """Yield `load(step)` for each step; beside a GPU the next batches are read while the present one computes.

    On a CPU they are not: a second thread that uses torch has OpenMP threads of its own, and the two teams take turns
    (0.26 s a step instead of 0.14 s, infra/LOG.md).

    Args:
        load: Reads the batch of a step.
        steps: In this order.
        device: Where the batches are computed with.
        num_threads: Threads that read beside a GPU, each another batch; so many batches wait in memory at most.
    """
    if device.type == "cpu":
        yield from map(load, steps)
        return
    with ThreadPoolExecutor(max_workers=num_threads, thread_name_prefix="load-batch") as pool:
        coming: deque[Future[BatchT]] = deque(pool.submit(load, step) for step in steps[:num_threads])
        for step in steps[num_threads:]:
            ready = coming.popleft().result()
            coming.append(pool.submit(load, step))
            yield ready
        while coming:
            yield coming.popleft().result()
