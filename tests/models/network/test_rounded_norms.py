"""Norms that keep 16 bits against torch's own."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from models.network.mask_vae import build_mask_vae
from models.network.rounded_norms import RoundedGroupNorm, RoundedLayerNorm, has_rounded_norms, round_norms
from models.training.cost import saved_by_module
from tests.models.toy_models import VAE, toy_inputs, toy_unet

ULP = 2.0**-8
"""Relative step of bfloat16."""
CASES = [
    (nn.GroupNorm(4, 8), (3, 8, 5, 5)),
    (nn.GroupNorm(2, 8, eps=1e-2), (2, 8)),
    (nn.GroupNorm(4, 8, affine=False), (3, 8, 5)),
    (nn.LayerNorm(8), (3, 5, 8)),
    (nn.LayerNorm((5, 8), eps=1e-2, bias=False), (3, 5, 8)),
    (nn.LayerNorm(8, elementwise_affine=False), (4, 8)),
]


def plain_and_rounded(norm: nn.Module) -> tuple[nn.Module, nn.Module]:
    plain = deepcopy(norm)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in plain.parameters():
            nn.init.normal_(weight, mean=1.0, std=0.3)
    rounded = deepcopy(plain)
    round_norms(rounded)
    assert isinstance(rounded, RoundedGroupNorm | RoundedLayerNorm)
    return plain, rounded


def results(norm: nn.Module, given: Tensor, weights: Tensor) -> list[Tensor]:
    """Output, gradient of the input and gradients of the weights."""
    leaf = given.clone().requires_grad_()
    output = norm(leaf)
    (output.float() * weights).sum().backward()
    gradients = [leaf.grad, *(weight.grad for weight in norm.parameters())]
    return [output.detach(), *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize(("norm", "shape"), CASES)
def test_rounded_norm_in_float32_is_the_plain_one(norm: nn.Module, shape: tuple[int, ...]) -> None:
    rng = torch.Generator().manual_seed(0)
    given, weights = (torch.randn(shape, generator=rng) for _ in range(2))
    plain, rounded = plain_and_rounded(norm)
    for found, expected in zip(results(rounded, given, weights), results(plain, given, weights), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("norm", "shape"), CASES)
def test_rounded_norm_in_16_bits_is_the_plain_one_in_float32_rounded_at_the_end(
    norm: nn.Module, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    rng = torch.Generator().manual_seed(0)
    given, weights = (torch.randn(shape, generator=rng).to(dtype) for _ in range(2))
    plain, rounded = plain_and_rounded(norm)
    output, gradient, *of_weights = results(rounded, given, weights.float())
    exact, exact_gradient, *exact_of_weights = results(plain, given.float(), weights.float())
    assert torch.equal(output, exact.to(dtype))
    torch.testing.assert_close(gradient.float(), exact_gradient, rtol=ULP, atol=1e-6)
    assert gradient.dtype == dtype
    for found, expected in zip(of_weights, exact_of_weights, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_rounded_norm_keeps_16_bits_of_its_input() -> None:
    norm = nn.GroupNorm(4, 8)
    given = torch.randn(3, 8, 16, 16).bfloat16().requires_grad_()
    statistics = 2 * 3 * 4 * 4
    round_norms(norm)
    assert saved_by_module(lambda: norm(given), [*norm.parameters()]).total() == given.nbytes + statistics


def test_round_norms_leaves_names_and_numbers_of_weights() -> None:
    unet = toy_unet()
    before = {name: weight.clone() for name, weight in unet.state_dict().items()}
    assert not has_rounded_norms(unet)
    round_norms(unet)
    assert has_rounded_norms(unet)
    assert not any(type(module) in {nn.GroupNorm, nn.LayerNorm} for module in unet.modules())
    after = unet.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    vae = build_mask_vae(VAE)
    round_norms(vae)
    assert has_rounded_norms(vae)


@pytest.mark.slow(seconds=2)
@pytest.mark.usefixtures("bfloat16_attention")
def test_unet_with_rounded_norms_learns_as_without_up_to_rounding() -> None:
    """The error against float32 is no larger than that of autocast alone."""
    inputs = toy_inputs(2, 3)

    def gradient(*, is_half: bool, is_rounded: bool) -> Tensor:
        unet = toy_unet().train()
        if is_rounded:
            round_norms(unet)
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            output = unet(**inputs)
        output.float().square().mean().backward()
        return torch.cat([weight.grad.flatten() for weight in unet.parameters() if weight.grad is not None])

    exact = gradient(is_half=False, is_rounded=False)
    assert torch.equal(gradient(is_half=False, is_rounded=True), exact)
    plain, rounded = (
        ((gradient(is_half=True, is_rounded=is_rounded) - exact).norm() / exact.norm()).item()
        for is_rounded in (False, True)
    )
    assert rounded < 1.2 * plain
    assert 0 < plain < 0.05
