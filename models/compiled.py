"""The network as one program: torch.compile, told what it must not do."""

from typing import Any

import torch
from torch import nn

OPTIONS: dict[str, Any] = {"layout_optimization": False}
"""Torch 2.13's choice of channels-last layouts loses gradients on processors: those of whole convolutions of a plain
UNet2DConditionModel come out zero (infra/decisions/0012)."""


def compiled(network: nn.Module) -> Any:
    """A callable like `network`, with its parameters, that is built for each new shape at the first call.

    Hand in contiguous weights (`torch.contiguous_format`); channels-last ones bring the lost gradients back.
    """
    return torch.compile(network, options=OPTIONS)
