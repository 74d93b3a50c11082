"""Splits a network among processes, so that cards too small for weights, average and optimizer can train it (FSDP2).

Each process keeps a part of every tensor; a block's weights are whole only while it computes, but what autocast copies
of them in bfloat16 lives until the backward pass. Gradients arrive summed.
"""

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from models.training.distributed import Ranks

BLOCKS = (BasicTransformerBlock, ResnetBlock2D, Downsample2D, Upsample2D)
"""What is gathered at once; none lies in another."""


def shard(network: nn.Module, device: torch.device, ranks: Ranks) -> None:
    """Split `network`, equal in all `ranks`, in place; it then computes on `device`.

    From now on all ranks must call it equally often, forward and backward (`Ranks.most`).
    """
    mesh = init_device_mesh(device.type, (ranks.size,))
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    for module in (*blocks, network):
        # the outermost one too: what validation has left whole would not see the next step's weights
        split: FSDPModule = fully_shard(module, mesh=mesh, reshard_after_forward=True)
        split.set_gradient_divide_factor(1.0)  # the loss says what share of the step it is
        split.set_force_sum_reduction_for_comms(enable=True)
        # an object with one condition view asks for fewer (models.network.attention.attend_to_one)
        split.set_reduce_scatter_unused_params(reduce_scatter_unused_params=True, recurse=False)


def is_sharded(network: nn.Module) -> bool:
    """Whether some other process keeps a part of it."""
    return any(isinstance(weight, DTensor) for weight in network.parameters())


def local_shard(tensor: Tensor) -> Tensor:
    """The numbers of a tensor that this process keeps, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, own: Tensor) -> Tensor:
    """What the processes keep as their `local_shard`s of something with the shape of `tensor`, as one tensor."""
    if not isinstance(tensor, DTensor):
        return own
    return DTensor.from_local(own, tensor.device_mesh, tensor.placements, shape=tensor.shape, stride=tensor.stride())


def full_tensor(tensor: Tensor) -> Tensor:
    """All numbers of a tensor; every process that keeps a part must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
