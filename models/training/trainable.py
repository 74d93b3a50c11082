"""What the training loop asks of a model and its data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from models.training.cost import SampleCost


@dataclass(frozen=True)
class MicroBatchLoss:
    """A share of one step's loss; the parts of a step are differentiated one after another and add up to its loss."""

    loss: Tensor
    metrics: Mapping[str, Tensor]
    """Shares of the step's metrics, added up over its parts; "loss" must be among them."""


BatchT = TypeVar("BatchT")


class Trainable(Protocol[BatchT]):
    """What can be trained: a model, and how a range of sample numbers becomes a loss."""

    @property
    def model(self) -> nn.Module:
        """Trained, averaged and kept."""
        ...

    @property
    def may_be_sharded(self) -> bool:
        """Whether the model may be split among processes (models.training.sharding)."""
        ...

    @property
    def discriminator(self) -> nn.Module | None:
        """Trained beside the model but not averaged: a discriminator."""
        ...

    def load(self, numbers: Sequence[int]) -> BatchT:
        """Read and assemble samples; runs in a second thread while the previous step computes."""
        ...

    def micro_batches(self, batch: BatchT) -> Iterator[MicroBatchLoss]:
        """Loss of a batch, in parts that fit into memory."""
        ...

    def names(self, numbers: Sequence[int]) -> list[str]:
        """What the samples are, for error messages."""
        ...

    def cost(self, dtype: torch.dtype) -> SampleCost:
        """What the dearest sample needs, computed in `dtype`."""
        ...

    def validate(self) -> dict[str, float]:
        """Metrics "val/..." on fixed data with fixed noise; the model has its averaged weights meanwhile."""
        ...


class Report(Protocol):
    """Where numbers go while the training runs."""

    def __call__(self, samples_seen: int, metrics: Mapping[str, float]) -> None:
        """Take in the metrics at a clock."""
        ...
