"""What the training loop asks of a model and its data."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import Tensor, nn

from models.training.cost import SampleCost
from models.training.emulated_autocast import Device


@dataclass(frozen=True)
class MicroBatchLoss:
    """The loss of one micro-batch; the loop accumulates gradients over the micro-batches of a step.

    Losses and metrics are weighted by their share of the step, so that their sums are those of the whole batch.
    """

    loss: Tensor
    metrics: Mapping[str, Tensor]
    """Scalars by name, without gradient or with it; "loss" must be among them."""
    is_last: bool = False
    """Whether no other follows in this step, so that ranks may sum gradients during its backward pass. Where none is
    the last, they do so afterwards; where weights are sharded, one must be."""


BatchT = TypeVar("BatchT")


class Trainable(Protocol[BatchT]):
    """What the loop can train: a model, and how a range of sample ids becomes a loss.

    A sample is a function of its id alone, so that order, batch size and number of ranks change no sample.
    """

    @property
    def model(self) -> nn.Module:
        """The network that is trained, averaged (EMA), validated and saved."""
        ...

    @property
    def may_be_sharded(self) -> bool:
        """Whether the model works when its weights are sharded over the ranks (models.training.sharding)."""
        ...

    @property
    def discriminator(self) -> nn.Module | None:
        """A second network with its own parameter group and gradient norm, trained but not averaged; None: none."""
        ...

    @property
    def frozen_parameters(self) -> int:
        """Parameters of networks that take part untrained, whole on every rank, such as a teacher."""
        ...

    def load(self, sample_ids: Sequence[int]) -> BatchT:
        """Read and assemble the samples of one rank; beside a GPU this runs in a second thread."""
        ...

    def micro_batches(self, batch: BatchT) -> Iterator[MicroBatchLoss]:
        """Run the forward pass of each micro-batch when the next one is asked for, and yield its loss."""
        ...

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        """Names of the objects or images behind the samples, for error messages."""
        ...

    def sample_tflop(self, sample_ids: Sequence[int]) -> Sequence[float]:
        """10^12 operations of each sample, forward and backward; equal on all ranks, which deal the samples by it."""
        ...

    @property
    def micro_batch(self) -> int | None:
        """Most samples per forward pass; None: as many as there are."""
        ...

    def cost(self, autocast: Device | None) -> SampleCost:
        """Operations and activation memory of the most expensive sample.

        `autocast` is the device whose autocast to bfloat16 the forward pass runs under; None: all in float32.
        """
        ...

    def validate(self) -> dict[str, float]:
        """Metrics named "val/..." on fixed data with fixed noise; the model holds its averaged weights meanwhile."""
        ...


class Report(Protocol):
    """Receives metrics while the training runs."""

    def __call__(self, samples_seen: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of the step after which `samples_seen` samples were seen."""
        ...
