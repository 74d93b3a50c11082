"""AdamW, with 32-bit or 8-bit state, for every training. Knows no schedule."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.config import OptimizerConfig

STATE_BYTES = {32: 20.0, 8: 14.1}
"""Bytes per parameter in training, by `state_bits`: weight, gradient and average in float32, and two moments; 8-bit
moments have one scale per block of 256."""


def make_optimizer(groups: Sequence[Sequence[nn.Parameter]], settings: OptimizerConfig) -> torch.optim.Optimizer:
    """Build AdamW (Loshchilov and Hutter 2019) with one parameter group per entry of `groups`.

    With `state_bits` 8 its moments are quantized in blocks (Dettmers et al. 2022), and its update is compiled at the
    first step, once for each shape of weight.

    Raises:
        ValueError: `state_bits` is 8 and torchao, which implements it, is not installed.
    """
    param_groups: list[dict[str, Any]] = [{"params": group} for group in groups]
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


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the rate of all groups; in place where it is a tensor, which a compiled optimizer must keep."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate
