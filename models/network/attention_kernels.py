"""Attention kernels by name: those that torch has, and those of the packages of FlashAttention 3 and 4.

Every kernel computes the same attention; which is the fastest depends on the card. A kernel serves where nothing is
masked. Where something is, torch chooses among those of its own that take masks, whatever the name.
"""

# Shapes: B object, S query token, K key token, H head, D head width

from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from models.config import AttentionKernel, Precision
from models.network.attention import Kernel
from models.network.kernel_needs import NEEDS, check_attention_kernel

TORCH = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
"""Torch's kernels; one that does not serve raises an error instead of giving way to another."""
PACKAGES = {name: need.package for name, need in NEEDS.items() if need.package is not None}
"""Modules with `flash_attn_func`, by name."""
HOPPER = (9, 0)
"""First compute capability at which cuDNN is asked before torch's own flash attention."""


def load_kernel(
    name: AttentionKernel,
    device: torch.device | str,
    precision: Precision,
    *,
    precision_key: str = "inference_precision",
) -> Kernel | None:
    """Return the kernel of that name for `MultiViewUNet.set_attention_kernel`.

    Args:
        name: A key of TORCH or PACKAGES, or "auto": on a card the first that serves of cuDNN's kernel, torch's flash
            attention (that one first before Hopper), its memory-efficient attention, and plain products.
        device: Where the network computes.
        precision: How it computes.
        precision_key: Name of the setting that says so, for the error message.

    Returns:
        The kernel; None: torch's own choice.

    Raises:
        ValueError: Device, installed packages or precision do not fit the kernel.
    """
    device = torch.device(device)
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    check_attention_kernel(name, device.type, capability, precision, precision_key=precision_key)
    if name == "auto":
        return None if capability is None else partial(attend_with, by_default(capability))
    if name in TORCH:
        return partial(attend_with, (TORCH[name],))
    return partial(attend_with_package, import_module(PACKAGES[name]))


def by_default(capability: tuple[int, int]) -> tuple[SDPBackend, ...]:
    """Return torch's kernels in the order in which "auto" asks them on a card of this compute capability."""
    cudnn, flash = SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION
    first = (cudnn, flash) if capability >= HOPPER else (flash, cudnn)
    return (*first, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)


def attend_with(backends: tuple[SDPBackend, ...], query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
    """Compute attention (B, H, S, D) by the first of torch's kernels that serves, in this order."""
    with sdpa_kernel(list(backends), set_priority=True):
        return scaled_dot_product_attention(query_BHSD, key_BHKD, value_BHKD)


def attend_with_package(module: Any, query_BHSD: Tensor, key_BHKD: Tensor, value_BHKD: Tensor) -> Tensor:
    """Compute attention (B, H, S, D) by a FlashAttention package, which has heads behind tokens: (B, S, H, D).

    Args:
        module: Has `flash_attn_func`, whose releases return the output alone or a tuple that begins with it.
        query_BHSD: Queries; so are (B, H, K, D) keys and values.
        key_BHKD: Keys.
        value_BHKD: Values.
    """
    # copies nothing: the projections lie in memory as (B, S, H, D)
    out = module.flash_attn_func(*(heads.transpose(1, 2) for heads in (query_BHSD, key_BHKD, value_BHKD)))
    out_BSHD: Tensor = out[0] if isinstance(out, tuple) else out
    return out_BSHD.transpose(1, 2)
