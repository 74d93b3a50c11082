"""Attention kernels by name compute the same attention, and those that a machine cannot serve are refused."""

import sys
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.attention import SDPBackend
from torch.utils.checkpoint import checkpoint

from models.network.attention import Kernel, MultiViewAttention
from models.network.attention_kernels import attend_with_package, by_default, load_kernel
from models.network.initialization import seeded_weights
from models.network.kernel_needs import check_attention_kernel
from models.network.multiview_unet import MultiViewUNet
from models.network.rounded_norms import round_norms
from tests.models.toy_models import toy_inputs, toy_unet

PADDED = {
    "view_mask_BV": torch.tensor([[True, True, True, True], [True, False, True, True]]),
    "embeds_mask_BL": torch.tensor([[True, True], [True, False]]),
}


class FlashAttention(ModuleType):
    """A package with the interface of FlashAttention: tokens before heads; keeps the shapes that it was given."""

    def __init__(self, name: str, *, gives_sums: bool) -> None:
        super().__init__(name)
        self.gives_sums, self.shapes = gives_sums, list[torch.Size]()

    def flash_attn_func(self, q: Tensor, k: Tensor, v: Tensor, softmax_scale: float | None = None) -> Any:
        assert q.is_contiguous(), "else the kernel copies"
        if not torch.compiler.is_compiling():
            self.shapes.append(q.shape)
        scores = torch.einsum("bshd,bkhd->bhsk", q, k) * (softmax_scale or q.shape[-1] ** -0.5)
        out = torch.einsum("bhsk,bkhd->bshd", scores.softmax(dim=-1), v)
        return (out, scores.logsumexp(dim=-1)) if self.gives_sums else out


def run(unet: MultiViewUNet, **inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    out = unet(**inputs)
    out.square().mean().backward()
    gradients = {name: weight.grad for name, weight in unet.named_parameters() if weight.grad is not None}
    unet.zero_grad()
    return out.detach(), gradients


def assert_same(found: tuple[Tensor, dict[str, Tensor]], expected: tuple[Tensor, dict[str, Tensor]]) -> None:
    seen = [0, 2, 3]  # what a padded view holds means nothing
    torch.testing.assert_close(found[0][:, seen], expected[0][:, seen], rtol=1e-4, atol=1e-5)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("masks", [{}, PADDED], ids=["plain", "padded"])
@pytest.mark.parametrize("name", ["auto", "flash", "math"])
def test_kernels_of_a_processor_give_the_same_output_and_gradients(name: Any, masks: dict[str, Tensor]) -> None:
    inputs = toy_inputs(2, 4, num_conditions=2) | masks
    expected, unet = run(toy_unet(), **inputs), toy_unet()
    unet.set_attention_kernel(load_kernel(name, "cpu", "fp32"))
    assert_same(run(unet, **inputs), expected)


@pytest.mark.filterwarnings("ignore:Flash attention")
def test_kernel_that_cannot_serve_raises_instead_of_giving_way() -> None:
    query, value = torch.randn(1, 2, 8, 16), torch.randn(1, 2, 8, 4)
    kernel = load_kernel("flash", "cpu", "fp32")
    assert kernel is not None
    with pytest.raises(RuntimeError, match="No available kernel"):
        kernel(query, query, value)


@pytest.mark.parametrize("gives_sums", [False, True])
@pytest.mark.parametrize("masks", [{}, PADDED], ids=["plain", "padded"])
def test_package_computes_attention_in_its_own_layout_and_torch_what_is_masked(
    masks: dict[str, Tensor], gives_sums: bool
) -> None:
    inputs = toy_inputs(2, 4, num_conditions=2) | masks
    expected, unet, package = run(toy_unet(), **inputs), toy_unet(), FlashAttention("fa", gives_sums=gives_sums)
    unet.set_attention_kernel(lambda *heads: attend_with_package(package, *heads))
    assert_same(run(unet, **inputs), expected)
    assert len(package.shapes) == (0 if masks else sum("attn" in name for name in unet.base.attn_processors))
    attention = [module for module in unet.modules() if isinstance(module, Attention)]
    heads = {(module.heads, module.inner_dim // module.heads) for module in attention}
    assert {tuple(shape[2:]) for shape in package.shapes} == (set() if masks else heads)


class Block(nn.Module):
    """Self-attention across three views behind a rounded norm, computed again in the backward pass."""

    def __init__(self, kernel: Kernel | None) -> None:
        super().__init__()
        with seeded_weights(0):
            self.norm = nn.LayerNorm(16)
            self.attention = Attention(query_dim=16, heads=2, dim_head=8, out_bias=True)
        self.processor = MultiViewAttention("all", kernel=kernel)
        round_norms(self)

    def forward(self, tokens: Tensor) -> Tensor:
        return checkpoint(self.attend, tokens, use_reentrant=False)

    def attend(self, tokens: Tensor) -> Tensor:
        return self.processor(self.attention, self.norm(tokens), num_views=3)


@pytest.mark.slow(seconds=4)
@pytest.mark.parametrize("name", ["flash", "math", "package"])
def test_kernels_go_with_compiling_recomputing_and_rounded_norms_under_autocast(name: Any) -> None:
    package = partial(attend_with_package, FlashAttention("fa", gives_sums=False))
    tokens = torch.randn(6, 4, 16, generator=torch.Generator().manual_seed(0))
    plain, block = Block(None), Block(package if name == "package" else load_kernel(name, "cpu", "bf16"))
    block.compile(backend="aot_eager", fullgraph=True)
    for one in (plain, block):
        with torch.autocast("cpu", torch.bfloat16):
            loss = one(tokens).float().square().mean()
        loss.backward()
    for weight, other in zip(block.parameters(), plain.parameters(), strict=True):
        assert weight.grad is not None
        assert other.grad is not None
        assert (weight.grad - other.grad).norm() < 0.02 * other.grad.norm()


def test_auto_asks_cudnn_first_from_hopper_on_and_always_ends_with_one_that_serves() -> None:
    assert by_default((9, 0))[:2] == (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION)
    assert by_default((8, 6))[:2] == (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION)
    assert by_default((7, 5))[-2:] == (SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
    assert load_kernel("auto", "cpu", "fp32") is None


REFUSED = {
    ("fa3", "cpu", None, "bf16"): "attention_kernel is fa3, which needs a CUDA card, and the device is cpu; write "
    "attention_kernel: auto",
    ("cudnn", "cpu", None, "fp32"): "attention_kernel is cudnn, which needs a CUDA card, and the device is cpu; write "
    "attention_kernel: auto",
    ("flash", "cuda", (7, 5), "fp32"): "attention_kernel is flash, which serves compute capability 8.0 and more, but a "
    "CUDA card here has 7.5; write attention_kernel: auto",
    ("fa3", "cuda", (10, 0), "bf16"): "attention_kernel is fa3, which serves compute capability 9.0 to 9.x, but a CUDA "
    "card here has 10.0; write attention_kernel: auto",
    ("fa3", "cuda", (9, 0), "bf16"): "attention_kernel is fa3, but flash_attn_interface is not installed; install it "
    "(`python setup.py install` in hopper/ of Dao-AILab/flash-attention), or write attention_kernel: auto",
    ("fa4", "cuda", (10, 0), "bf16"): "attention_kernel is fa4, but flash_attn.cute is not installed; install it "
    "(`pip install flash-attn-4`), or write attention_kernel: auto",
    ("flash", "cuda", (9, 0), "fp32"): "attention_kernel is flash, which computes in 16 bits, and loop.precision is "
    "fp32; write loop.precision: bf16, or attention_kernel: auto",
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_kernel_that_a_machine_cannot_serve_is_refused_with_the_remedy(case: Any) -> None:
    with pytest.raises(ValueError, match="attention_kernel") as refused:
        check_attention_kernel(*case, precision_key="loop.precision")
    assert str(refused.value) == REFUSED[case]


def test_kernels_that_serve_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_attention_kernel("auto", "cuda", (5, 0), "fp32")
    check_attention_kernel("efficient", "cuda", (7, 5), "fp32")
    check_attention_kernel("fa3", "cuda", None, "bf16")  # of a machine without a card that others have
    package = FlashAttention("flash_attn_interface", gives_sums=False)
    package.__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, "flash_attn_interface", package)
    check_attention_kernel("fa3", "cuda", (9, 0), "bf16")
