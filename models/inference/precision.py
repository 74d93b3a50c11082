"""In which precision networks compute that draw or encode outside of trainings, where autocast decides."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from models.config import Precision

DTYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@contextmanager
def tensor_float32(device: str, precision: Precision) -> Iterator[None]:
    """Let float32 matrix products on CUDA run in TensorFloat-32 while this is open, if the precision is bf16.

    What stays float32 beside bf16 networks, such as the VAE that decodes, then computes with inputs of 10 bits of
    mantissa, bf16 having 7, and sums in float32. With fp32, and on other devices, nothing changes.

    Args:
        device: torch device, e.g. "cpu" or "cuda:0".
        precision: Of the networks that compute.
    """
    before = torch.get_float32_matmul_precision()
    if precision == "bf16" and torch.device(device).type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
