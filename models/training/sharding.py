"""Fully sharded data parallelism (FSDP2), for GPUs too small for all weights, their average and optimizer state.

Each rank keeps a shard of every tensor; a block's weights are gathered only while it computes, but autocast's bfloat16
copies of them live until the backward pass. Gradients are reduced and scattered as sums.
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
"""Modules whose weights are gathered together; none contains another."""


def shard(network: nn.Module, device: torch.device, ranks: Ranks) -> None:
    """Shard `network`, whose weights must be equal on all ranks, in place.

    Afterwards every forward and backward pass is collective: all ranks must make equally many (`Ranks.all_reduce_max`).

    Args:
        network: A UNet made of diffusers' blocks.
        device: Where it computes; decides the backend.
        ranks: The processes that share it.
    """
    mesh = init_device_mesh(device.type, (ranks.size,))
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    for module in (*blocks, network):
        # the outermost one too: weights that validation left gathered would miss the next step's update
        sharded: FSDPModule = fully_shard(module, mesh=mesh, reshard_after_forward=True)
        sharded.set_gradient_divide_factor(1.0)  # the loss says what share of the step it is
        sharded.set_force_sum_reduction_for_comms(enable=True)
        # an object with one condition view uses fewer weights (models.network.attention.attend_to_one)
        sharded.set_reduce_scatter_unused_params(reduce_scatter_unused_params=True, recurse=False)


def is_sharded(network: nn.Module) -> bool:
    """Whether the network's weights are sharded over the ranks."""
    return any(isinstance(weight, DTensor) for weight in network.parameters())


def local_shard(tensor: Tensor) -> Tensor:
    """Return this rank's shard of a tensor, or the tensor itself where it is not sharded, without a copy."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def sharded_like(tensor: Tensor, local: Tensor) -> Tensor:
    """Wrap the ranks' local shards as one tensor with the shape and placement of `tensor`."""
    if not isinstance(tensor, DTensor):
        return local
    return DTensor.from_local(local, tensor.device_mesh, tensor.placements, shape=tensor.shape, stride=tensor.stride())


def full_tensor(tensor: Tensor) -> Tensor:
    """Gather a sharded tensor, or return a plain one; collective where it is sharded."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
