"""Feed-forward layers that compute their activations again."""

import pytest
import torch
from torch import Tensor

from models.network.recomputed_feed_forward import (
    RecomputedFeedForward,
    has_recomputed_feed_forward,
    recompute_feed_forward,
)
from models.training.cost import unet_cost
from tests.models.toy_models import toy_inputs, toy_unet


@pytest.mark.slow(seconds=2)
def test_unet_with_recomputed_feed_forward_gives_the_same_gradients_and_keeps_less() -> None:
    inputs = toy_inputs(2, 3)

    def gradients(*, is_recomputed: bool) -> dict[str, Tensor]:
        unet = toy_unet().train()
        if is_recomputed:
            recompute_feed_forward(unet)
        unet(**inputs).square().mean().backward()
        return {name: weight.grad for name, weight in unet.named_parameters() if weight.grad is not None}

    plain, recomputed = gradients(is_recomputed=False), gradients(is_recomputed=True)
    assert recomputed.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
    unet = toy_unet()
    kept = unet_cost(unet, 1, 3, None)
    recompute_feed_forward(unet)
    assert has_recomputed_feed_forward(unet)
    less = unet_cost(unet, 1, 3, None)
    assert less.saved_activation_bytes < 0.9 * kept.saved_activation_bytes
    assert less.tflop == kept.tflop, "the model's own operations"


def test_recompute_feed_forward_leaves_out_levels_that_are_recomputed_whole() -> None:
    unet = toy_unet()
    assert not has_recomputed_feed_forward(unet)
    unet.recompute_levels([0])
    recompute_feed_forward(unet)
    names = [name for name, module in unet.base.named_modules() if isinstance(module, RecomputedFeedForward)]
    assert names
    assert all(name.startswith("mid_block") for name in names), "the only attention below level 0 at toy size"


def test_unet_with_recomputed_feed_forward_draws_the_same() -> None:
    unet, inputs = toy_unet().eval(), toy_inputs(1, 3)
    with torch.no_grad():
        plain = unet(**inputs)
        recompute_feed_forward(unet)
        assert torch.equal(unet(**inputs), plain)
