"""For tests of models: what torch's kernels need to run under every instruction set."""

import os
from collections.abc import Iterator

import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel


@pytest.fixture
def bfloat16_attention() -> Iterator[None]:
    """Attention in bfloat16 by kernels that run with every ATEN_CPU_CAPABILITY.

    Torch's fused kernel asks the processor for AMX and then its capability for AVX-512, so it fails where the processor
    has the one and the variable denies the other: "pack_vnni2 is only supported when avx512 is supported".
    """
    if os.environ.get("ATEN_CPU_CAPABILITY") in {"default", "avx2"}:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    else:
        yield
