"""Data-parallel training: each rank computes a share of every batch, and all end the step with equal weights.

Gradients are all-reduced once per step, with the last micro-batch (models.training.gradient_sums), by our own loop
instead of DistributedDataParallel: micro-batches differ in number and size between ranks, and weights that a batch does
not use have no gradient, two cases that DDP's hooks do not expect.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed

ObjectT = TypeVar("ObjectT")
TensorT = TypeVar("TensorT", bound=Tensor)
STORE = "MVDPP_STORE"
"""Environment variable with the rendezvous file of ranks on one machine; unset where the launcher has an address."""
COLLECTIVE_TIMEOUT = timedelta(hours=1)
"""So long, since rank 0 validates and writes checkpoints alone while the others wait."""
BUCKET = 2**26
"""Elements per all_reduce call."""


@dataclass(frozen=True)
class PendingSum:
    """A sum of some tensors over all ranks that has begun; the tensors must stay as they are until it is finished."""

    tensors: Sequence[Tensor]
    flat: Tensor
    """Their numbers, which become the sums."""
    work: distributed.Work

    @property
    def is_done(self) -> bool:
        """Whether `finish` would wait for nothing."""
        return self.work.is_completed()

    @torch.no_grad()
    def finish(self) -> None:
        """Wait for the sum and put it into the tensors."""
        self.work.wait()
        totals = torch.split(self.flat, [tensor.numel() for tensor in self.tensors])
        for tensor, total in zip(self.tensors, totals, strict=True):
            tensor.copy_(total.view_as(tensor))


@dataclass(frozen=True)
class Ranks:
    """The process group as one of its ranks sees it; every method but `share` is collective.

    With a single rank nothing is communicated and torch.distributed need not be initialized.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which reports, validates and writes."""
        return self.rank == 0

    def share(self, num_samples: int, batch_size: int) -> float:
        """Part of a batch that some samples of this rank are; 0 where there are as many ranks before it as samples.

        Such a rank computes a sample of another rank once more, so that all take part in every collective.
        """
        return num_samples / batch_size if self.rank < batch_size else 0.0

    @torch.no_grad()
    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over all ranks, in place; every rank gets the same bits."""
        if self.size == 1:
            return
        for bucket in buckets_of(tensors):
            self.begin_sum(bucket).finish()

    @torch.no_grad()
    def begin_sum(self, tensors: Sequence[Tensor]) -> PendingSum:
        """Begin to sum tensors of one dtype; every rank must begin the same sums in the same order."""
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        return PendingSum(tensors, flat, distributed.all_reduce(flat, async_op=True))

    def barrier(self, device: torch.device) -> None:
        """Wait until all ranks have arrived."""
        self.all_reduce_max(0, device)

    def all_reduce_max(self, number: int, device: torch.device) -> int:
        """The largest `number` of all ranks."""
        numbers = torch.zeros(self.size, dtype=torch.int64, device=device)
        numbers[self.rank] = number
        self.all_reduce_sum([numbers])
        return int(numbers.max())

    def broadcast(self, value: ObjectT) -> ObjectT:
        """Return rank 0's `value`, which must be picklable."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]


SINGLE = Ranks()
"""One process that trains alone."""


@contextmanager
def init_distributed(device: torch.device) -> Iterator[Ranks]:
    """Join the process group of torchrun or Ray Train; `SINGLE` where there is none."""
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


def buckets_of(tensors: Sequence[TensorT]) -> Iterator[list[TensorT]]:
    """Group consecutive tensors of one dtype into buckets of at most BUCKET elements, or of one larger tensor."""
    bucket: list[TensorT] = []
    for tensor in tensors:
        is_full = sum(other.numel() for other in bucket) + tensor.numel() > BUCKET
        if bucket and (is_full or bucket[0].dtype != tensor.dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
