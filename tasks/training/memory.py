"""What a training will need, said before it starts; what cannot fit is refused with the numbers and the remedies."""

from dataclasses import dataclass
from typing import Any

import torch

from models.config import MaskVAEConfig, TrainingConfig
from models.training.cost import count_parameters
from models.training.optimizers import STATE_BYTES
from models.training.trainable import Trainable
from tasks.ports import Tools

GIB = 2**30
TEMPORARY_SHARE = 0.1
"""Part of a device's memory that is left to temporary buffers and to what the allocator cannot use."""
FROZEN_BYTES = 4
"""Of a parameter that is not trained."""
UNAVERAGED_BYTES = 16
"""Of a parameter that is trained and not averaged, as a discriminator's: itself, its gradient and AdamW's moments."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Parameters, memory and floating-point operations that one training process needs."""

    stage: str
    parameters: int
    state_gib: float
    """Weights and their copies in bfloat16, gradients, average, moments of the optimizer: what the process keeps. With
    weights split among ranks also full gradients between the micro-batches of a step."""
    kept_gib: float
    """Activations of one sample: what it keeps, and the largest part of it that is computed again at one time."""
    at_once: int
    """Samples whose activations are there together."""
    step_tflop: float
    """Of all processes together."""
    is_vae: bool = False
    """Whether the VAE is trained, which has a micro batch of its own, no feed-forward layers and no shards."""

    @property
    def total_gib(self) -> float:
        """Least memory of a process: temporary buffers come on top."""
        return self.state_gib + self.at_once * self.kept_gib

    def fitting(self, memory_gib: float) -> int:
        """Return how many samples at once would fit, with TEMPORARY_SHARE of the memory left over."""
        return max(0, int((usable_gib(memory_gib) - self.state_gib) / self.kept_gib))

    def require(self, device: str, memory_gib: float) -> None:
        """Raise ValueError, with what to do, when it is more than a device with so much memory has to use."""
        if self.total_gib <= usable_gib(memory_gib):
            return
        raise ValueError(
            f"{self.stage} needs at least {self.total_gib:.2f} GiB ({self.state_gib:.2f} for weights, gradients, "
            f"average and optimizer, {self.kept_gib:.3g} for each of {self.at_once} samples at once); {device} has "
            f"{usable_gib(memory_gib):.2f} of {memory_gib:.2f} to use: {self._remedy(self.fitting(memory_gib))}"
        )

    def _remedy(self, fitting: int) -> str:
        """Say what to do where only so many samples fit at once."""
        recompute = "recompute_levels" if self.is_vae else "recompute_feed_forward or recompute_levels"
        if fitting:
            key = "vae_micro_batch" if self.is_vae else "micro_batch"
            return f"set {key} to {fitting} in the profile, or {recompute}, or loop.precision to bf16"
        shard = "" if self.is_vae else "or shard_weights with several ranks, "
        return f"set {recompute} in the profile, {shard}loop.precision to bf16, or take a card with more memory"


def usable_gib(memory_gib: float) -> float:
    """Return what a training may plan with: all of a device's memory but TEMPORARY_SHARE."""
    return (1 - TEMPORARY_SHARE) * memory_gib


def check_memory(
    stage: str, trainable: Trainable[Any], config: TrainingConfig, tools: Tools, count: int
) -> MemoryEstimate:
    """Estimate what the training in `count` processes needs, and say so.

    Raises ValueError when it cannot fit into the memory of this process's device.
    """
    need = estimate(stage, trainable, config, tools, count)
    tools.progress.note(f"{stage}: {describe(need, config, count, tools.device)}")
    if tools.device == "cpu":
        need.require(tools.device, tools.memory_gib / count)
    elif count == 1:
        need.require(tools.device, gpu_gib(torch.device(tools.device)))
    return need


def estimate(stage: str, trainable: Trainable[Any], config: TrainingConfig, tools: Tools, count: int) -> MemoryEstimate:
    """Estimate what each of `count` processes needs, for its most expensive samples."""
    is_half = config.loop.precision == "bf16"
    cost = trainable.cost(("cpu" if tools.device == "cpu" else "cuda") if is_half else None)
    parameters = count_parameters(trainable.model)
    own = -(-config.loop.batch_size // count)
    is_split = tools.compute.shard_weights and trainable.may_be_sharded
    at_once = min(own, trainable.micro_batch or own)
    state_bytes = STATE_BYTES[config.optimizer.state_bits] / (count if is_split else 1)
    # autocast keeps its copy of each weight until the backward pass, unless the weights are gathered as such
    copied_bytes = 2 if is_half and not (is_split and tools.device != "cpu") else 0
    unsummed_bytes = 4 if is_split and at_once < own else 0
    others = trainable.frozen_parameters * FROZEN_BYTES
    if trainable.discriminator is not None:
        others += UNAVERAGED_BYTES * count_parameters(trainable.discriminator)
    return MemoryEstimate(
        stage=stage,
        parameters=parameters,
        state_gib=(parameters * (state_bytes + copied_bytes + unsummed_bytes) + others) / GIB,
        kept_gib=(cost.saved_activation_bytes + cost.recomputed_bytes) / GIB,
        at_once=at_once,
        step_tflop=cost.tflop * config.loop.batch_size,
        is_vae=isinstance(config, MaskVAEConfig),
    )


def describe(need: MemoryEstimate, config: TrainingConfig, count: int, device: str) -> str:
    """Put an estimate into one line for the user."""
    steps = -(-config.loop.samples // config.loop.batch_size)
    return (
        f"{need.parameters / 1e6:.1f} M parameters, {steps:,} steps of {config.loop.batch_size:,} samples and "
        f"{need.step_tflop:.3g} TFLOP, {count} x {device}; memory of each at least {need.total_gib:.2f} GiB: "
        f"{need.state_gib:.2f} for weights, gradients, average and optimizer, {need.kept_gib:.3g} for each of "
        f"{need.at_once} samples at once"
    )


def gpu_gib(device: torch.device) -> float:
    """Return the memory of a GPU that a training may take: what is free and what this process holds already."""
    return (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device)) / GIB
