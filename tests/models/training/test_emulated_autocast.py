"""The casts on the meta device against those of torch's own autocast."""

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.nn.functional import scaled_dot_product_attention as attention

from models.training.cost import SavedBytes, fused_attention, meta_inputs, saved_by_module
from models.training.emulated_autocast import Device, EmulatedAutocast
from tests.models.toy_models import toy_inputs, toy_unet

BF16, FP32 = torch.bfloat16, torch.float32
Op = Callable[[Tensor, Tensor], Tensor]
OPS: dict[str, Op] = {
    "linear": functional.linear,
    "@": lambda x, y: x @ y,
    "matmul": torch.matmul,
    "bmm": lambda x, y: torch.bmm(x.view(1, 4, 4), y.view(1, 4, 4)),
    "addmm": lambda x, y: torch.addmm(x, x, y),
    "einsum": lambda x, y: torch.einsum("ij,jk->ik", x, y),
    "conv2d": lambda x, y: functional.conv2d(x.view(1, 1, 4, 4), y.view(1, 1, 4, 4)),
    "conv_transpose2d": lambda x, y: functional.conv_transpose2d(x.view(1, 1, 4, 4), y.view(1, 1, 4, 4)),
    "attention": lambda x, y: attention(x.view(1, 1, 4, 4), y.view(1, 1, 4, 4), y.view(1, 1, 4, 4)),
    "addcmul": lambda x, y: torch.addcmul(x, x, y),
    "cat": lambda x, y: torch.cat([x, y]),
    "stack": lambda x, y: torch.stack([x, y]),
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "mse_loss": functional.mse_loss,
    "l1_loss": functional.l1_loss,
    "binary cross entropy": functional.binary_cross_entropy_with_logits,
    "group_norm": lambda x, _: functional.group_norm(x, 2),
    "layer_norm": lambda x, _: functional.layer_norm(x, (4,)),
    "rms_norm": lambda x, _: functional.rms_norm(x, (4,)),
    "normalize": lambda x, _: functional.normalize(x),
    "softmax": lambda x, _: x.softmax(dim=-1),
    "softmax function": lambda x, _: functional.softmax(x, dim=-1),
    "log_softmax": lambda x, _: functional.log_softmax(x, dim=-1),
    "sum": lambda x, _: x.sum(),
    "sum of 16 bits": lambda x, _: torch.sum(x, dim=1, dtype=BF16),
    "mean": lambda x, _: x.mean(),
    "norm": lambda x, _: x.norm(),
    "vector_norm": lambda x, _: torch.linalg.vector_norm(x),
    "cumsum": lambda x, _: x.cumsum(0),
    "power": lambda x, _: x**2,
    "power of 2": lambda x, _: 2**x,
    "square": lambda x, _: x.square(),
    "sqrt": lambda x, _: x.sqrt(),
    "rsqrt": lambda x, _: x.rsqrt(),
    "exp": lambda x, _: x.exp(),
    "softplus": lambda x, _: functional.softplus(x),
    "silu": lambda x, _: functional.silu(x),
    "gelu": lambda x, _: functional.gelu(x),
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "dropout": lambda x, _: functional.dropout(x),
    "interpolate": lambda x, _: functional.interpolate(x.view(1, 1, 4, 4), scale_factor=2.0, mode="nearest"),
    "avg_pool2d": lambda x, _: functional.avg_pool2d(x.view(1, 1, 4, 4), 2),
}


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_emulated_autocast_gives_the_types_that_torchs_gives(device: Device) -> None:
    """Torch runs its CUDA autocast on fake tensors, which need no card."""
    found, expected = {}, {}
    for (name, op), *dtypes in product(OPS.items(), (BF16, FP32), (BF16, FP32)):
        key = (name, *dtypes)
        with torch.no_grad(), EmulatedAutocast(device):
            found[key] = op(*(torch.empty(4, 4, dtype=dtype, device="meta") for dtype in dtypes)).dtype
        expected[key] = dtype_under_autocast(device, op, dtypes)
    assert found == expected
    assert {BF16, FP32} == set(expected.values())


def dtype_under_autocast(device: Device, op: Op, dtypes: list[torch.dtype]) -> torch.dtype:
    before = torch.get_autocast_dtype(device)
    with torch.no_grad(), FakeTensorMode():
        given = [torch.empty(4, 4, dtype=dtype, device=device) for dtype in dtypes]
        # not torch.autocast, which switches itself off where there is no card
        torch.set_autocast_enabled(device, True)
        torch.set_autocast_dtype(device, BF16)
        try:
            return op(*given).dtype
        finally:
            torch.set_autocast_enabled(device, False)
            torch.set_autocast_dtype(device, before)
            torch.clear_autocast_cache()


def test_emulated_autocast_leaves_whole_and_double_numbers_alone() -> None:
    with EmulatedAutocast("cuda"):
        assert (torch.ones(2, 2, dtype=torch.float64) @ torch.ones(2, 2, dtype=torch.float64)).dtype == torch.float64
        assert torch.ones(2, dtype=torch.long).square().dtype == torch.long


def test_emulated_autocast_casts_a_weight_once_and_an_activation_each_time() -> None:
    layer, given = nn.Linear(4, 4, bias=False), torch.randn(2, 4)
    with EmulatedAutocast("cuda") as casts:
        first, second = layer(given), layer(given)
    (copy,) = casts.weight_copies
    assert torch.equal(copy, layer.weight.bfloat16())
    assert torch.equal(first, second)
    once = saved_by_module(lambda: nn.Sequential(layer)(given), [given, layer.weight], "cuda").total()
    twice = saved_by_module(lambda: layer(given) + layer(given), [given, layer.weight], "cuda").total()
    assert (once, twice) == (given.nbytes // 2, given.nbytes)


@pytest.mark.slow(seconds=2)
def test_emulated_autocast_keeps_what_a_real_forward_pass_keeps_on_a_processor() -> None:
    """Equal to the byte, copies of the weights included; but meta's group norm has its statistics in bfloat16."""
    real, meta = toy_unet().train(), toy_unet().train().to("meta")
    inputs, shapes = toy_inputs(1, 4, num_conditions=2), meta_inputs(meta, 2, 4, FP32)
    for unet in (real, meta):
        unet.set_attention_kernel(fused_attention, takes_masks=True)
    counted, kept = (
        SavedBytes([*meta.parameters(), *shapes.values()]),
        SavedBytes([*real.parameters(), *inputs.values()]),
    )
    with counted.recording(), EmulatedAutocast("cpu"):
        meta_output = meta(**shapes)
    with kept.recording(), torch.autocast("cpu", BF16):
        output = real(**inputs)
    assert meta_output.dtype == output.dtype
    expected = kept.by_module()
    for name, module in real.named_modules():
        if isinstance(module, nn.GroupNorm):
            expected[f"MultiViewUNet.{name}"] -= 2 * 2 * 4 * module.num_groups  # mean and deviation, 2 bytes, 4 views
    assert counted.by_module() == expected
