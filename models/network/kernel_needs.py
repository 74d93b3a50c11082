"""Which attention kernels a machine can serve, asked before torch or a network is loaded."""

from importlib.util import find_spec
from typing import NamedTuple

from models.config import AttentionKernel, Precision


class Need(NamedTuple):
    """What a kernel needs besides a CUDA card."""

    majors: range
    """Major numbers of the compute capabilities that it serves."""
    package: str | None = None
    """Module to import; None: torch has the kernel."""
    remedy: str = ""
    """How to install it."""


LATER = 1000
NEEDS = {
    "cudnn": Need(range(8, LATER)),
    "flash": Need(range(8, LATER)),
    "efficient": Need(range(5, LATER)),
    "fa3": Need(
        range(9, 10), "flash_attn_interface", "`python setup.py install` in hopper/ of Dao-AILab/flash-attention"
    ),
    "fa4": Need(range(9, 11), "flash_attn.cute", "`pip install flash-attn-4`"),
}
"""By name, of the kernels that do not serve everywhere. On a processor "flash" is another kernel of torch's."""
HALF = frozenset({"cudnn", "flash", "fa3", "fa4"})
"""Kernels that compute in 16 bits only, on a card."""
ON_PROCESSORS = frozenset({"auto", "flash", "math"})
"""Kernels that need no card."""


def check_attention_kernel(
    name: AttentionKernel,
    device: str,
    capability: tuple[int, int] | None,
    precision: Precision,
    *,
    precision_key: str = "inference_precision",
) -> None:
    """Refuse a kernel that a machine cannot serve.

    Args:
        name: The profile's `attention_kernel`.
        device: Kind of device that computes, "cpu" or "cuda".
        capability: Compute capability of the card, the lowest of several; None: there is none here, and the machines
            that have them are to ask again.
        precision: How the network computes.
        precision_key: Name of the setting that says so.

    Raises:
        ValueError: Card, package or precision do not fit the kernel.
    """
    if name not in NEEDS or (device == "cpu" and name in ON_PROCESSORS):
        return
    if device == "cpu":
        raise ValueError(
            f"attention_kernel is {name}, which needs a CUDA card, and the device is cpu; write attention_kernel: auto"
        )
    if capability is None:
        return
    need = NEEDS[name]
    if capability[0] not in need.majors:
        last = " and more" if need.majors.stop == LATER else f" to {need.majors[-1]}.x"
        raise ValueError(
            f"attention_kernel is {name}, which serves compute capability {need.majors[0]}.0{last}, but a CUDA card "
            f"here has {capability[0]}.{capability[1]}; write attention_kernel: auto"
        )
    if need.package is not None and not _is_installed(need.package):
        raise ValueError(
            f"attention_kernel is {name}, but {need.package} is not installed; install it ({need.remedy}), or write "
            "attention_kernel: auto"
        )
    if name in HALF and precision == "fp32":
        raise ValueError(
            f"attention_kernel is {name}, which computes in 16 bits, and {precision_key} is fp32; write "
            f"{precision_key}: bf16, or attention_kernel: auto"
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that the module is part of
        return False
