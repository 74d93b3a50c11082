"""The moving average of weights. Knows nothing of the loop."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average in float32 of a module's parameters; starts at their present values."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay` 0 keeps the newest weights."""
        self.decay = decay
        self._parameters = list(model.parameters())
        self._average = [parameter.detach().float().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, num_steps: int) -> None:
        """Take in the weights after optimizer step `num_steps` (from 1).

        The decay ramps up as (1 + n) / (10 + n), so that the first weights are forgotten (as in diffusers' EMAModel).
        """
        decay = min(self.decay, (1 + num_steps) / (10 + num_steps))
        newest = [parameter.detach().float() for parameter in self._parameters]
        torch._foreach_lerp_(self._average, newest, 1 - decay)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """Inside, the module has the averaged weights; afterwards its own again."""
        own = [parameter.detach().clone() for parameter in self._parameters]
        self._write(self._average)
        try:
            yield
        finally:
            with torch.no_grad():
                self._write(own)

    def _write(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)

    def state(self) -> list[Tensor]:
        """The averaged tensors, in the order of the parameters."""
        return self._average

    @torch.no_grad()
    def load_state(self, state: list[Tensor]) -> None:
        """Inverse of `state`."""
        for average, value in zip(self._average, state, strict=True):
            average.copy_(value)
