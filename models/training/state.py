"""All that a training goes on from, as one whole, whether each process keeps all of it or a part.

So a checkpoint can be taken up by any number of processes, sharded or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from models.training.distributed import Ranks
from models.training.ema import MovingAverage
from models.training.sharding import full_tensor, is_sharded

NOTHING: Mapping[str, Any] = {"weights": {}, "average": {}, "optimizer": {}}
"""What a process has that did not read the checkpoint."""


class TrainingState:
    """Weights, average and optimizer of a training."""

    def __init__(
        self, modules: Sequence[nn.Module], average: MovingAverage, optimizer: torch.optim.Optimizer, ranks: Ranks
    ) -> None:
        """modules: the trained ones; `average` is of the first."""
        self._all = nn.ModuleList(modules)
        self._average, self._optimizer, self._workers = average, optimizer, ranks
        self.is_sharded = is_sharded(self._all)

    def gather(self) -> dict[str, Any]:
        """The state, in the first process; of a sharded one all processes must ask."""
        options = StateDictOptions(full_state_dict=self.is_sharded, cpu_offload=self.is_sharded)
        averaged = {}
        for name, value in self._average.state().items():
            tensor = full_tensor(value)
            if self._workers.is_first:
                averaged[name] = tensor.cpu() if self.is_sharded else tensor
        return {
            "weights": get_model_state_dict(self._all, options=options),
            "average": averaged,
            "optimizer": get_optimizer_state_dict(self._all, self._optimizer, options=options),
        }

    def load_from_rank0(self, state: Mapping[str, Any]) -> None:
        """Take up the first process's state, all processes together; what others hand in does not matter."""
        together = self._workers.size > 1
        options = StateDictOptions(full_state_dict=together, broadcast_from_rank0=together)
        set_model_state_dict(self._all[0], state["average"], options=options)
        self._average.take_from_model()
        set_model_state_dict(self._all, state["weights"], options=options)
        with self._frozen_without_state(self._workers.broadcast(list(state["optimizer"].get("state", ())))):
            set_optimizer_state_dict(self._all, self._optimizer, state["optimizer"], options=options)

    @contextmanager
    def _frozen_without_state(self, stepped: Sequence[str]) -> Iterator[None]:
        """The optimizer has no state of weights that are not in `stepped`: a discriminator that has not joined yet."""
        resting = [
            weight for name, weight in self._all.named_parameters() if weight.requires_grad and name not in stepped
        ]
        for weight in resting:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in resting:
                weight.requires_grad_(True)
