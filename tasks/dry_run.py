"""What a training will need, said before it starts; what cannot fit is refused with the numbers and the remedies."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tasks.ports import Tools
from tasks.training_job import TrainingConfig

if TYPE_CHECKING:
    import torch

    from models.trainable import Trainable

GIB = 2**30


@dataclass(frozen=True)
class Need:
    """Of one training process."""

    parameters: int
    state_gib: float
    """Weights, gradients, average, moments of the optimizer."""
    kept_gib: float
    """Activations of one sample."""
    at_once: int
    """Samples whose activations are there together."""
    step_tflop: float
    """Of all processes together."""

    @property
    def total_gib(self) -> float:
        """At the least: temporary buffers come on top."""
        return self.state_gib + self.at_once * self.kept_gib

    def fitting(self, memory_gib: float) -> int:
        """How many samples at once would fit, a tenth of the memory left to temporary buffers."""
        return max(0, int((0.9 * memory_gib - self.state_gib) / self.kept_gib))


def check_need(stage: str, trainable: "Trainable[Any]", config: TrainingConfig, tools: Tools, count: int) -> None:
    """Say what the training in `count` processes needs.

    Raises ValueError when it cannot fit into the memory of its device.
    """
    import torch

    from models.cost import STATE_BYTES

    cost = trainable.cost(torch.bfloat16 if config.loop.precision == "bf16" else torch.float32)
    parameters = sum(weight.numel() for weight in trainable.model.parameters())
    own = -(-config.loop.batch_size // count)
    need = Need(
        parameters=parameters,
        state_gib=parameters * STATE_BYTES / GIB,
        kept_gib=cost.kept_bytes / GIB,
        at_once=min(own, tools.means.micro_batch or own),
        step_tflop=cost.tflop * config.loop.batch_size,
    )
    memory_gib = available_gib(torch.device(tools.device), tools, count)
    tools.progress.note(f"{stage}: {describe(need, config, count, tools.device)}")
    if need.total_gib > memory_gib:
        raise ValueError(f"{stage} {refusal(need, memory_gib, tools.device)}")


def describe(need: Need, config: TrainingConfig, count: int, device: str) -> str:
    """One line."""
    steps = -(-config.loop.samples // config.loop.batch_size)
    return (
        f"{need.parameters / 1e6:.1f} M parameters, {steps:,} steps of {config.loop.batch_size:,} samples and "
        f"{need.step_tflop:.3g} TFLOP, {count} x {device}; memory of each at least {need.total_gib:.2f} GiB: "
        f"{need.state_gib:.2f} for weights, gradients, average and optimizer, {need.kept_gib:.3g} for each of "
        f"{need.at_once} samples at once"
    )


def refusal(need: Need, memory_gib: float, device: str) -> str:
    """Why it cannot be, and what to do."""
    fitting = need.fitting(memory_gib)
    if fitting:
        remedy = f"set micro_batch to {fitting} in the profile, or recompute_levels, or loop.precision to bf16"
    else:
        remedy = "set recompute_levels in the profile, loop.precision to bf16, or take a card with more memory"
    return (
        f"needs at least {need.total_gib:.2f} GiB ({need.state_gib:.2f} for weights, gradients, average and optimizer, "
        f"{need.kept_gib:.3g} for each of {need.at_once} samples at once); {device} has {memory_gib:.2f}: {remedy}"
    )


def available_gib(device: "torch.device", tools: Tools, count: int) -> float:
    """Memory of the device for one of `count` processes; infinite where it is another process's GPU."""
    import torch

    if device.type == "cpu":
        return tools.memory_gib / count
    if count > 1:
        return float("inf")
    return (torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_allocated(device)) / GIB
