"""torch.compile with the one optimization switched off that gives wrong gradients."""

from typing import Any

import torch
from torch import nn

OPTIONS: dict[str, Any] = {"layout_optimization": False}
"""Torch 2.13's choice of channels-last layouts loses gradients on CPUs: those of whole convolutions of a plain
UNet2DConditionModel become zero (infra/decisions/0012)."""

RECOMPILE_LIMIT = 64
"""Graphs that torch may keep of a network. Its own limit of 8 is reached by a training of stage 3 with validation: one
or several samples, one or several condition views, both modes, kept and all targets. Beyond it calls run uncompiled."""


def compile_in_place(network: nn.Module, *, graphs: bool = False) -> None:
    """Compile `network` at its first call with each new input shape; its parameters stay the same objects.

    Args:
        network: Its weights must be contiguous: channels-last ones lose gradients again.
        graphs: Replay CUDA graphs, which saves kernel launches where kernels are small.
    """
    torch._dynamo.config.recompile_limit = max(RECOMPILE_LIMIT, torch._dynamo.config.recompile_limit)
    network.compile(options=OPTIONS | ({"triton.cudagraphs": True} if graphs else {}))
