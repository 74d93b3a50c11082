"""The moving average of weights. Knows nothing of the loop."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.training.sharding import local_shard, sharded_like


class MovingAverage:
    """Exponential moving average in float32 of a module's parameters; starts at their present values.

    Of a sharded module each process averages the numbers it keeps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay` 0 keeps the newest weights."""
        self.decay = decay
        self._parameters = dict(model.named_parameters())
        self._average = [value.float().clone() for value in self._values()]

    @torch.no_grad()
    def update(self, num_steps: int) -> None:
        """Take in the weights after optimizer step `num_steps` (from 1).

        The decay ramps up as (1 + n) / (10 + n), so that the first weights are forgotten (as in diffusers' EMAModel).
        """
        decay = min(self.decay, (1 + num_steps) / (10 + num_steps))
        torch._foreach_lerp_(self._average, [value.float() for value in self._values()], 1 - decay)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """Inside, the module has the averaged weights; afterwards its own again."""
        own = [value.clone() for value in self._values()]
        self._write(self._average)
        try:
            yield
        finally:
            with torch.no_grad():
                self._write(own)

    def state(self) -> dict[str, Tensor]:
        """The averaged tensors by name, sharded like the weights."""
        return {
            name: sharded_like(parameter, average)
            for (name, parameter), average in zip(self._parameters.items(), self._average, strict=True)
        }

    @torch.no_grad()
    def take_from_model(self) -> None:
        """The present weights become the average."""
        for average, value in zip(self._average, self._values(), strict=True):
            average.copy_(value)

    def _values(self) -> list[Tensor]:
        return [local_shard(parameter.detach()) for parameter in self._parameters.values()]

    def _write(self, values: list[Tensor]) -> None:
        for own, value in zip(self._values(), values, strict=True):
            own.copy_(value)
