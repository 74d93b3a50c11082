"""The network as one program: torch.compile, told what it must not do."""

from typing import Any

from torch import nn

OPTIONS: dict[str, Any] = {"layout_optimization": False}
"""Torch 2.13's choice of channels-last layouts loses gradients on processors: those of whole convolutions of a plain
UNet2DConditionModel come out zero (infra/decisions/0012)."""


def compile_in_place(network: nn.Module, *, graphs: bool = False) -> None:
    """From now on `network` is compiled at the first call with each new shape; its parameters stay where they are.

    Hand in contiguous weights: channels-last ones bring the lost gradients back.
    graphs: replay CUDA graphs, which saves the launching of kernels where they are small.
    """
    network.compile(options=OPTIONS | ({"triton.cudagraphs": True} if graphs else {}))
