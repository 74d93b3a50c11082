"""Exponential moving average (EMA) of a network's weights. Knows nothing of the loop.

Our own, because torch's AveragedModel copies the module, which FSDP2 refuses, and diffusers' EMAModel keeps the
weights' dtype and has another decay in its first steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from models.training.sharding import local_shard, sharded_like


class MovingAverage:
    """Exponential moving average in float32 of a module's parameters, starting at their present values.

    Each rank averages its own shard where the module is sharded.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start at the present weights; a `decay` of 0 makes the average follow them exactly."""
        self.decay = decay
        self._parameters = dict(model.named_parameters())
        self._average = [value.float().clone() for value in self._values()]

    @torch.no_grad()
    def update(self, num_steps: int) -> None:
        """Blend in the weights after optimizer step `num_steps`, counted from 1.

        The decay ramps up as (1 + n) / (10 + n), so that the first weights are forgotten (as in diffusers' EMAModel).
        """
        decay = min(self.decay, (1 + num_steps) / (10 + num_steps))
        torch._foreach_lerp_(self._average, [value.float() for value in self._values()], 1 - decay)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """Give the module the averaged weights inside the `with` block and its own weights back afterwards."""
        weights = [value.clone() for value in self._values()]
        self._write(self._average)
        try:
            yield
        finally:
            with torch.no_grad():
                self._write(weights)

    def state(self) -> dict[str, Tensor]:
        """The averaged tensors by parameter name, sharded like the weights."""
        return {
            name: sharded_like(parameter, average)
            for (name, parameter), average in zip(self._parameters.items(), self._average, strict=True)
        }

    @torch.no_grad()
    def reset(self) -> None:
        """Make the present weights the average."""
        for average, value in zip(self._average, self._values(), strict=True):
            average.copy_(value)

    def _values(self) -> list[Tensor]:
        return [local_shard(parameter.detach()) for parameter in self._parameters.values()]

    def _write(self, values: list[Tensor]) -> None:
        for weight, value in zip(self._values(), values, strict=True):
            weight.copy_(value)
