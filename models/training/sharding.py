"""Fully sharded data parallelism (FSDP2), for GPUs too small for all weights, their average and optimizer state.

Each rank keeps a shard of every tensor; a block's weights are gathered only while it computes, but autocast's bfloat16
copies of them live until the backward pass, unless they are gathered in bfloat16. Gradients are reduced and scattered
as sums.
"""

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from models.training.distributed import Ranks

BLOCKS = (BasicTransformerBlock, ResnetBlock2D, Downsample2D, Upsample2D)
"""Modules whose weights are gathered together; none contains another."""


def shard(network: nn.Module, device: torch.device, ranks: Ranks, *, gathered: torch.dtype | None = None) -> None:
    """Shard `network`, whose weights must be equal on all ranks, in place.

    Afterwards every forward and backward pass is collective: all ranks must make equally many (`Ranks.all_reduce_max`).

    Args:
        network: A UNet made of diffusers' blocks.
        device: Where it computes; decides the backend.
        ranks: The processes that share it.
        gathered: Type in which weights are sent around and used, under autocast to the same type; None: their own.
            Gradients are summed in float32 either way.
    """
    # autocast decides the type of inputs
    policy = MixedPrecisionPolicy(gathered, None if gathered is None else torch.float32, cast_forward_inputs=False)
    mesh = init_device_mesh(device.type, (ranks.size,))
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    for module in (*blocks, network):
        # the outermost one too: weights that validation left gathered would miss the next step's update
        sharded: FSDPModule = fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
        sharded.set_gradient_divide_factor(1.0)  # the loss says what share of the step it is
        sharded.set_force_sum_reduction_for_comms(enable=True)
        # an object with one condition view uses fewer weights (models.network.attention.attend_to_one)
        sharded.set_reduce_scatter_unused_params(reduce_scatter_unused_params=True, recurse=False)


def sum_gradients(network: nn.Module, *, now: bool) -> None:
    """Say after a forward pass whether its backward pass sums the gradients over the ranks or leaves that to the next.

    Args:
        network: The outermost sharded module; others are left alone.
        now: Whether it is the step's last.
    """
    if not isinstance(network, FSDPModule):
        return
    network.set_requires_gradient_sync(now)
    if now:
        return
    states = [module._get_fsdp_state() for module in network.modules() if isinstance(module, FSDPModule)]
    for weight in [weight for state in states for group in state._fsdp_param_groups for weight in group.fsdp_params]:
        if weight.reduce_dtype and weight.sharded_param.requires_grad and weight.unsharded_accumulated_grad is None:
            # FSDP sums gradients of one type alone, and would keep those of weights that one pass of several uses in
            # another type than those of weights that only the last one uses
            shape, device = weight.sharded_param.shape, weight.sharded_param.device
            weight.unsharded_accumulated_grad = torch.zeros(shape, dtype=weight.reduce_dtype, device=device)


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
