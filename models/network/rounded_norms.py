"""Norms that compute in float32 and give and keep the 16 bits of their input.

Under autocast on CUDA a norm gives float32, and its input is kept in float32 for the backward pass, as is what follows
it up to the next matrix product or convolution. These norms compute the same numbers and round them once, at their
output, where autocast rounds them a layer later.
"""

from typing import Any

import torch
from torch import Tensor, nn

aten = torch.ops.aten


class RoundedGroupNorm(nn.GroupNorm):
    """A GroupNorm (N, C, ...) whose output has the type of its input; in float32 the plain one."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Return the normalized input."""
        if input.dtype == torch.float32:
            return super().forward(input)
        rounded: Tensor = _GroupNorm.apply(input, self.weight, self.bias, self.num_groups, self.eps)  # type: ignore[no-untyped-call]
        return rounded


class RoundedLayerNorm(nn.LayerNorm):
    """A LayerNorm whose output has the type of its input; in float32 the plain one."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """Return the normalized input."""
        if input.dtype == torch.float32:
            return super().forward(input)
        shape = list(self.normalized_shape)
        rounded: Tensor = _LayerNorm.apply(input, self.weight, self.bias, shape, self.eps)  # type: ignore[no-untyped-call]
        return rounded


ROUNDED: dict[type, type] = {nn.GroupNorm: RoundedGroupNorm, nn.LayerNorm: RoundedLayerNorm}


def round_norms(network: nn.Module) -> None:
    """Let the group and layer norms of `network` give and keep the type of their input; the weights stay."""
    for module in network.modules():
        if type(module) in ROUNDED:
            module.__class__ = ROUNDED[type(module)]


def has_rounded_norms(network: nn.Module) -> bool:
    """Whether `round_norms` was called."""
    return any(isinstance(module, tuple(ROUNDED.values())) for module in network.modules())


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor | None, bias: Tensor | None, groups: int, eps: float) -> Any:
        sizes = (given.shape[0], given.shape[1], given[0, 0].numel(), groups)
        out, mean, rstd = aten.native_group_norm(given.float().contiguous(), _float(weight), _float(bias), *sizes, eps)
        ctx.save_for_backward(given, weight, bias, mean, rstd)
        ctx.sizes = sizes
        return _rounded(out, given)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        given, weight, bias, mean, rstd = ctx.saved_tensors
        grads = aten.native_group_norm_backward(
            grad.float().contiguous(), given.float().contiguous(), mean, rstd, _float(weight), *ctx.sizes,
            list(ctx.needs_input_grad[:3]),
        )  # fmt: skip
        return *(_rounded(*pair) for pair in zip(grads, (given, weight, bias), strict=True)), None, None


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, given: Tensor, weight: Tensor | None, bias: Tensor | None, shape: list[int], eps: float
    ) -> Any:
        out, mean, rstd = aten.native_layer_norm(given.float(), shape, _float(weight), _float(bias), eps)
        ctx.save_for_backward(given, weight, bias, mean, rstd)
        ctx.shape = shape
        return _rounded(out, given)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        given, weight, bias, mean, rstd = ctx.saved_tensors
        grads = aten.native_layer_norm_backward(
            grad.float(), given.float(), ctx.shape, mean, rstd, _float(weight), _float(bias),
            list(ctx.needs_input_grad[:3]),
        )  # fmt: skip
        return *(_rounded(*pair) for pair in zip(grads, (given, weight, bias), strict=True)), None, None


def _float(weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.float()


def _rounded(number: Tensor | None, like: Tensor | None) -> Tensor | None:
    return None if number is None or like is None else number.to(like.dtype)
