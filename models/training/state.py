"""The state of a training as full tensors, whether the ranks hold replicas or shards of it.

So a checkpoint written by any number of ranks, sharded or not, can be loaded by any other number.
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

EMPTY_STATE: Mapping[str, Any] = {"weights": {}, "average": {}, "optimizer": {}}
"""What ranks other than 0 pass to `load_from_rank0`."""


class TrainingState:
    """Gathers and loads weights, moving average and optimizer state."""

    def __init__(
        self, modules: Sequence[nn.Module], average: MovingAverage, optimizer: torch.optim.Optimizer, ranks: Ranks
    ) -> None:
        """Refer to the objects whose state this is; nothing is copied.

        Args:
            modules: The trained networks, the averaged one first.
            average: Moving average of the first module.
            optimizer: The optimizer of all modules.
            ranks: The processes that train together.
        """
        self._modules = nn.ModuleList(modules)
        self._average, self._optimizer, self._ranks = average, optimizer, ranks
        self.is_sharded = is_sharded(self._modules)

    def gather(self) -> dict[str, Any]:
        """The full state, complete on rank 0.

        Collective when the state is sharded: every rank must call it. Keys: weights, average, optimizer.
        """
        options = StateDictOptions(full_state_dict=self.is_sharded, cpu_offload=self.is_sharded)
        optimizer: dict[str, Any] = {}
        if self._optimizer.state:  # torch would take a step to make the state of an optimizer that has none
            optimizer = get_optimizer_state_dict(self._modules, self._optimizer, options=options)
        averaged = {}
        for name, value in self._average.state().items():
            tensor = full_tensor(value)
            if self._ranks.is_first:
                averaged[name] = tensor.cpu() if self.is_sharded else tensor
        return {
            "weights": get_model_state_dict(self._modules, options=options),
            "average": averaged,
            "optimizer": optimizer,
        }

    def load_from_rank0(self, state: Mapping[str, Any]) -> None:
        """Broadcast rank 0's `state` and load it; collective, `state` is ignored on the other ranks."""
        together = self._ranks.size > 1
        options = StateDictOptions(full_state_dict=together, broadcast_from_rank0=together)
        set_model_state_dict(self._modules[0], state["average"], options=options)
        self._average.reset()
        set_model_state_dict(self._modules, state["weights"], options=options)
        if not (stepped := self._ranks.broadcast(list(state["optimizer"].get("state", ())))):
            return
        settings = [_settings_of(group) for group in self._optimizer.param_groups]
        with self._frozen_without_state(stepped):
            set_optimizer_state_dict(self._modules, self._optimizer, state["optimizer"], options=options)
        for group, own in zip(self._optimizer.param_groups, settings, strict=True):
            group.update(own)  # those of the checkpoint may be another training's

    def shapes(self) -> dict[str, torch.Size]:
        """The shape of every full weight and buffer, by its name in `weights`."""
        return {name: value.shape for name, value in self._modules.state_dict().items()}

    @contextmanager
    def _frozen_without_state(self, stepped: Sequence[str]) -> Iterator[None]:
        """Freeze the weights without optimizer state meanwhile: those of a discriminator that has not joined yet."""
        frozen = [
            weight for name, weight in self._modules.named_parameters() if weight.requires_grad and name not in stepped
        ]
        for weight in frozen:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in frozen:
                weight.requires_grad_(True)


def _settings_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a parameter group of an optimizer: rate, decay and so on."""
    return {name: value for name, value in group.items() if name != "params"}
