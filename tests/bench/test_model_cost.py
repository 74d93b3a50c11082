import pytest

from models.network.multiview_unet import MultiViewUNet
from tests.bench.mechanism_cost import below_the_finest, everywhere
from tests.bench.mechanism_cost import count as count_mechanism
from tests.bench.model_cost import LEVELS, PAPER, SAVINGS, costs_of, count, meta_unet, saved_with
from tests.bench.model_worker import network


@pytest.fixture(scope="module")
def unet() -> MultiViewUNet:
    return meta_unet(PAPER)


@pytest.mark.nightly
@pytest.mark.slow
def test_cost_of_the_full_network_is_quadratic_in_the_views_by_self_attention_alone(unet: MultiViewUNet) -> None:
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(868e6, rel=2e-3)
    few, many = count(unet, 1, 8), count(unet, 1, 32)
    assert few.forward_tflop == pytest.approx(15.76, abs=0.01)
    assert few.training_tflop == pytest.approx(3 * few.forward_tflop, rel=0.01)
    ratio = 33 / 9
    for part, tflop in few.forward_by_part.items():
        growth = many.forward_by_part[part] / tflop
        once = "self-attention" in part or "cross-attention" in part  # one condition: once for all views
        assert growth == pytest.approx(ratio, rel=0.01) or once
    scores = sum(4 * (9 * side**2) ** 2 * width * layers for side, width, layers in LAYERS) / 1e12
    linear = sum(8 * 9 * side**2 * width**2 * layers for side, width, layers in LAYERS) / 1e12
    assert sum(tflop for part, tflop in few.forward_by_part.items() if "self" in part) == pytest.approx(
        scores + linear, rel=1e-6
    )
    assert many.saved_gib / few.saved_gib == pytest.approx(ratio, rel=0.02), "linear: no scores are kept"
    for cost in (few, many):
        assert sum(cost.forward_by_part.values()) == pytest.approx(cost.forward_tflop)
        assert sum(cost.saved_by_part.values()) == pytest.approx(cost.saved_gib)
    assert few.saved_gib == pytest.approx(9.4, abs=0.1)
    assert count(unet, 2, 8).saved_gib == pytest.approx(11.5, abs=0.1), "two conditions: tokens ask which"


@pytest.mark.nightly
@pytest.mark.slow
def test_savings_of_rounded_norms_and_recomputed_feed_forward_cost_two_percent_more_operations() -> None:
    plain, levels, both = (
        saved_with(PAPER, *SAVINGS[name])
        for name in ("as it is", "recompute_levels: [0]", "rounded_norms, recompute_feed_forward")
    )
    for (gib, tflop), (gib_of_level, tflop_of_level), (least_gib, more_tflop) in zip(plain, levels, both, strict=True):
        assert least_gib < gib_of_level < 0.55 * gib
        assert 1.01 * tflop < more_tflop < 1.02 * tflop < 1.2 * tflop < tflop_of_level


@pytest.mark.nightly
@pytest.mark.slow
def test_levels_that_see_less_compute_less_and_gathered_windows_keep_more() -> None:
    whole, near, alone = (costs_of(meta_unet(PAPER, spans)) for spans in (LEVELS[0], LEVELS[1], LEVELS[-1]))
    assert [(cost.conditions, cost.targets) for cost in whole] == [(1, 8), (1, 32)]
    assert near[0].forward_tflop == pytest.approx(whole[0].forward_tflop), "nine views are all within a window"
    assert whole[1].forward_tflop == pytest.approx(154.8, abs=0.1)
    assert alone[1].forward_tflop == pytest.approx(25.5, abs=0.1)
    assert alone[1].forward_tflop < near[1].forward_tflop < 0.5 * whole[1].forward_tflop
    assert alone[1].saved_gib == pytest.approx(whole[1].saved_gib) == pytest.approx(34.5, abs=0.1)
    assert near[1].saved_gib == pytest.approx(41.7, abs=0.1)


LAYERS = [(64, 320, 5), (32, 640, 5), (16, 1280, 5), (8, 1280, 1)]
"""Side, width and number of self-attentions of Stable Diffusion 2's levels."""


@pytest.mark.nightly
@pytest.mark.slow
def test_mechanisms_that_see_less_cost_less_and_keep_as_much() -> None:
    toy = network("toy", 16).to("meta")
    rows, low, coarse, whole = (
        count_mechanism(toy, attention, side, 5)
        for attention, side in (
            (everywhere("row"), 16),
            (everywhere("object"), 8),
            (below_the_finest, 16),
            (everywhere("object"), 16),
        )
    )
    assert max(rows.tflop, low.tflop) < coarse.tflop < whole.tflop
    assert rows.saved_gib == pytest.approx(whole.saved_gib, rel=1e-3)
    assert coarse.saved_gib == pytest.approx(whole.saved_gib, rel=1e-3)
    assert low.saved_gib < 0.3 * whole.saved_gib


@pytest.mark.slow(seconds=8)
@pytest.mark.parametrize("params", ["one_gpu.yaml", "node.yaml", "paper.yaml"])
def test_every_large_recipe_has_the_network_of_stable_diffusion(params: str) -> None:
    unet = meta_unet(PAPER.parent / params)
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(868e6, rel=2e-3)
