"""The processes that train one model together: each computes a share of every step, all end it with equal weights.

Gradients are added up once per step, after all its parts: parts may differ in number and size between processes, and
weights that nothing asked for may lack a gradient, which DistributedDataParallel's hooks would each have to be told.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

ThingT = TypeVar("ThingT")
STORE = "MVDPP_STORE"
"""Environment variable: file through which processes of one machine find each other, where no launcher says it."""
COLLECTIVE_TIMEOUT = timedelta(hours=1)
"""For the slowest process: the first one validates and writes checkpoints alone."""
BUCKET = 2**26
"""Numbers that travel together."""


@dataclass(frozen=True)
class Ranks:
    """All processes, from the point of view of one."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one reports, validates and writes."""
        return self.rank == 0

    def share(self, numbers: range) -> range:
        """Which samples of a step this process computes."""
        return numbers[self.rank :: self.size]

    @torch.no_grad()
    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over all processes; the same bits everywhere."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.flatten() for tensor in bucket])
            distributed.all_reduce(flat)
            for tensor, total in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(total.view_as(tensor))

    def barrier(self, device: torch.device) -> None:
        """Wait until all processes are here."""
        self.all_reduce_max(0, device)

    def any(self, answer: bool, device: torch.device) -> bool:
        """Whether any process says yes."""
        return self.all_reduce_max(int(answer), device) > 0

    def all_reduce_max(self, number: int, device: torch.device) -> int:
        """The greatest of all processes' numbers."""
        numbers = torch.zeros(self.size, dtype=torch.int64, device=device)
        numbers[self.rank] = number
        self.add([numbers])
        return int(numbers.max())

    def broadcast(self, thing: ThingT) -> ThingT:
        """What the first process has; must pickle."""
        if self.size == 1:
            return thing
        things = [thing]
        distributed.broadcast_object_list(things, src=0)
        return things[0]


SINGLE = Ranks()


@contextmanager
def init_distributed(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun, Ray Train or `infra.execution.launchers` started; alone where none did."""
    if distributed.is_initialized():
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
        return
    if "RANK" not in os.environ:
        yield SINGLE
        return
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{os.environ[STORE]}" if STORE in os.environ else "env://",
        rank=ranks.rank,
        world_size=ranks.size,
        timeout=COLLECTIVE_TIMEOUT,
    )
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Consecutive tensors of one dtype, about BUCKET numbers at a time."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        is_full = sum(other.numel() for other in bucket) + tensor.numel() > BUCKET
        if bucket and (is_full or bucket[0].dtype != tensor.dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
