"""AdamW, with 32-bit or 8-bit state, for every training: which parameters decay and at which rate each learns.

Knows no schedule.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.config import OptimizerConfig

STATE_BYTES = {32: 20.0, 8: 14.1}
"""Bytes per parameter in training, by `state_bits`: weight, gradient and average in float32, and two moments; 8-bit
moments have one scale per block of 256."""
VIEW_SCALE = "view_scale"


def make_optimizer(modules: Sequence[nn.Module], settings: OptimizerConfig) -> torch.optim.Optimizer:
    """Build AdamW (Loshchilov and Hutter 2019) for the parameters of `modules` that require gradients.

    With `state_bits` 8 its moments are quantized in blocks (Dettmers et al. 2022), and its update is compiled at the
    first step, once for each shape of weight.

    Raises:
        ValueError: `state_bits` is 8 and torchao, which implements it, is not installed.
    """
    param_groups = [group for module in modules for group in parameter_groups(module, settings)]
    common: dict[str, Any] = {
        "lr": settings.learning_rate,
        "betas": settings.betas,
        "weight_decay": settings.weight_decay,
    }
    if settings.state_bits == 32:
        return torch.optim.AdamW(param_groups, **common, fused=True)
    try:
        # torchao is an optional dependency: trainings with 32-bit states must not need it
        from torchao.optim import AdamW8bit
    except ImportError as error:
        raise ValueError("optimizer.state_bits is 8, which needs torchao: pip install torchao==0.18.0") from error
    optimizer: torch.optim.Optimizer = AdamW8bit(param_groups, **common)
    return optimizer


def parameter_groups(module: nn.Module, settings: OptimizerConfig) -> list[dict[str, Any]]:
    """Group the parameters that require gradients by decay and rate, in the order of their first member.

    Each group has `params`, `weight_decay`, and `rate`, the factor on the learning rate. With `settings` at their
    defaults there is one group. The scale of view embeddings is known by its name, `view_scale`.
    """
    embeddings = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding)}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in module.named_parameters():
        if not weight.requires_grad:
            continue
        rate = settings.view_scale_rate if name == VIEW_SCALE else 1.0
        is_spared = rate != 1.0
        if settings.decayed == "matrices":
            is_spared = is_spared or weight.ndim < 2 or id(weight) in embeddings
        groups.setdefault((0.0 if is_spared else settings.weight_decay, rate), []).append(weight)
    return [{"params": weights, "weight_decay": decay, "rate": rate} for (decay, rate), weights in groups.items()]


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of each group to its multiple of this one.

    It is set in place where it is a tensor, which a compiled optimizer must keep.
    """
    for group in optimizer.param_groups:
        rate = learning_rate * group.get("rate", 1.0)  # a checkpoint of before 0.3 has groups without it
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
