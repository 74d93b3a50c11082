import pytest
import torch

from tests.bench.model_cost import PAPER, count, meta_inputs, meta_unet
from tests.models.toy_models import toy_unet


@pytest.fixture(scope="module")
def unet():
    return meta_unet(PAPER)


@pytest.mark.slow
def test_cost_of_the_full_network_is_quadratic_in_the_views_by_self_attention_alone(unet):
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(868e6, rel=2e-3)
    few, many = count(unet, 1, 8), count(unet, 1, 32)
    assert few.forward_tflop == pytest.approx(16.0, abs=0.1)
    assert few.training_tflop == pytest.approx(3 * few.forward_tflop, rel=0.01)
    ratio = 33 / 9
    for part, tflop in few.by_part.items():
        growth = many.by_part[part] / tflop
        assert growth == pytest.approx(ratio, rel=0.01) or "self-attention" in part
    scores = sum(4 * (9 * side**2) ** 2 * width * layers for side, width, layers in LAYERS) / 1e12
    linear = sum(8 * 9 * side**2 * width**2 * layers for side, width, layers in LAYERS) / 1e12
    assert sum(tflop for part, tflop in few.by_part.items() if "self" in part) == pytest.approx(
        scores + linear, rel=1e-6
    )
    assert many.saved_gib / few.saved_gib == pytest.approx(ratio, rel=0.02), "linear: no scores are kept"
    assert few.saved_gib == pytest.approx(8, abs=1.5)


LAYERS = [(64, 320, 5), (32, 640, 5), (16, 1280, 5), (8, 1280, 1)]
"""Side, width and number of self-attentions of Stable Diffusion 2's levels."""


def test_meta_inputs_are_what_the_network_takes():
    toy = toy_unet()
    inputs = {name: torch.zeros(value.shape, dtype=value.dtype) for name, value in meta_inputs(toy, 2, 5).items()}
    with torch.no_grad():
        assert toy.to(torch.bfloat16)(**inputs).shape == (1, 5, 4, 8, 8)
