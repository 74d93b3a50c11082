"""Attention across views by level: what each span sees, and that the paper's is what it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models.network.attention import MultiViewAttention, attend, rows_of_views, views_of_rows
from models.network.initialization import seeded_weights
from models.network.multiview_unet import MultiViewUNet, level_of
from models.network.near_views import near_views
from models.training.cost import unet_cost
from tests.models.toy_models import largest_difference, toy_inputs, toy_unet

TWO_LEVELS: dict[str, Any] = {"attention_levels": (True, True)}
NUM_VIEWS = 8
COLUMNS = 4
ROUNDING = 2e-5


def unet_with(*spans: str) -> MultiViewUNet:
    return toy_unet(**TWO_LEVELS, global_attention=spans)


def views_of(num_conditions: int = 1) -> dict[str, Tensor]:
    """One object: condition views, then targets 0, 1, ... of two rows of four columns."""
    targets = 3 + torch.arange(NUM_VIEWS - num_conditions)
    ids = torch.cat([torch.arange(num_conditions), targets])[None]
    return toy_inputs(1, NUM_VIEWS, num_conditions=num_conditions) | {"view_ids_BV": ids}


@torch.no_grad()
@pytest.mark.parametrize(("flag", "spans"), [(True, ("all", "all")), (False, ("none", "none"))])
def test_spans_equal_the_flag_that_they_generalise(flag: bool, spans: tuple[str, ...]) -> None:
    inputs = toy_inputs(2, 4, num_conditions=2)
    assert torch.equal(unet_with(*spans)(**inputs), toy_unet(**TWO_LEVELS, global_attention=flag)(**inputs))


@torch.no_grad()
@pytest.mark.parametrize("span", ["rows", "near", "none"])
def test_span_changes_the_output_at_each_level(span: str) -> None:
    inputs = views_of()
    outputs = [unet_with(*spans)(**inputs) for spans in (("all", "all"), (span, "all"), ("all", span))]
    assert largest_difference(outputs[0], outputs[1]) > 1e-3
    assert largest_difference(outputs[0], outputs[2]) > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("span", ["all", "rows", "near", "none"])
def test_span_of_one_view_is_ordinary_self_attention_but_for_rows(span: str) -> None:
    inputs = toy_inputs(2, 1)
    difference = largest_difference(unet_with(span, span)(**inputs), unet_with("all", "all")(**inputs))
    assert (difference < ROUNDING) == (span != "rows")


def test_near_views_are_the_conditions_and_the_targets_beside_a_target() -> None:
    ids = torch.tensor([[0, 1, 10, 11, 13, 14, 17, 18, 22, 34]])  # targets 0, 1, 3, 4, 7, 8, 12, 24 of 4 rows of 8
    found = near_views(ids, num_conditions=2, first_target=10, num_columns=8)
    seen = [
        {int(ids[0, place]) for place, is_meant in zip(places, meant, strict=True) if is_meant}
        for places, meant in zip(found.index_BVM[0], found.mask_BVM[0], strict=True)
    ]
    assert seen[0] == seen[1] == {0, 1}
    assert seen[2] == {0, 1, 10, 11, 17, 18}  # target 0: itself, 1, 7 across the seam, 8 above
    assert seen[4] == {0, 1, 13, 14, 22}
    assert seen[9] == {0, 1, 34}


def sees(span: str, ids_V: Tensor, side: int) -> Tensor:
    """Which token of one object sees which, (V N, V N), written without the code under test."""
    place = torch.arange(len(ids_V) * side * side)
    view, height = place // side**2, place % side**2 // side
    if span == "all":
        return torch.ones(len(place), len(place), dtype=torch.bool)
    if span == "rows":
        return height[:, None] == height
    if span == "none":
        return view[:, None] == view
    allowed = torch.zeros(len(ids_V), len(ids_V), dtype=torch.bool)
    for i, one in enumerate(ids_V.tolist()):
        for j, other in enumerate(ids_V.tolist()):
            rows, columns = abs((one - 3) // COLUMNS - (other - 3) // COLUMNS), (one - other) % COLUMNS
            allowed[i, j] = other < 3 or (one >= 3 and rows <= 1 and columns in (0, 1, COLUMNS - 1))
    return allowed[view[:, None], view]


@torch.no_grad()
@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("span", ["all", "rows", "near", "none"])
def test_span_equals_dense_attention_under_a_mask(span: Any, chunk: int | None, is_padded: bool) -> None:
    side, ids_V = 3, torch.tensor([0, 2, 3, 5, 6, 8, 10, 14])
    with seeded_weights(0):
        attention = Attention(query_dim=8, heads=2, dim_head=4, out_bias=True)
        tokens = torch.randn(2, len(ids_V), side * side, 8)
    exists = torch.tensor([True, not is_padded, True, True, not is_padded, True, True, True])
    mask_BV = exists.expand(2, -1) if is_padded else None
    windows = near_views(
        ids_V.expand(2, -1), num_conditions=2, first_target=3, num_columns=COLUMNS, view_mask_BV=mask_BV
    )
    out = MultiViewAttention(span, chunk=chunk)(
        attention, tokens.flatten(0, 1), num_views=len(ids_V), view_mask_BV=mask_BV, windows=windows
    )
    allowed = sees(span, ids_V, side)
    if span != "none":
        allowed = allowed & exists.repeat_interleave(side * side)
    dense = attend(
        attention,
        tokens.flatten(1, 2),
        tokens.flatten(1, 2),
        lambda query, key, value: scaled_dot_product_attention(query, key, value, attn_mask=allowed),
    )
    wanted = dense.reshape(tokens.shape)[:, exists]
    torch.testing.assert_close(out.reshape(tokens.shape)[:, exists], wanted, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_near_condition_views_do_not_see_the_targets() -> None:
    unet, inputs = unet_with("near", "near"), views_of()
    noisy = inputs["noisy_BVCHW"].clone()
    noisy[:, 3] += 1
    difference = (unet(**inputs | {"noisy_BVCHW": noisy}) - unet(**inputs)).abs().amax(dim=(0, 2, 3, 4))
    assert difference[0] == 0
    assert difference[3] > 1e-2


def test_rows_of_views_hold_one_height_and_are_undone() -> None:
    tokens = torch.arange(2 * 3 * 16).reshape(6, 16, 1)  # 2 objects, 3 views, 4 x 4
    rows = rows_of_views(tokens, 3)
    assert rows.shape == (8, 12, 1)
    assert rows[1, :, 0].tolist() == [4, 5, 6, 7, 20, 21, 22, 23, 36, 37, 38, 39]
    assert torch.equal(views_of_rows(rows, 3), tokens)


def test_network_with_spans_saves_loads_recomputes_and_trains_the_same(tmp_path: Path) -> None:
    inputs = toy_inputs(1, NUM_VIEWS)
    unet = unet_with("near", "rows")
    unet.save_pretrained(tmp_path)
    loaded = MultiViewUNet.from_pretrained(tmp_path)
    assert loaded.config.global_attention == ["near", "rows"]
    with torch.no_grad():
        assert torch.equal(loaded(**inputs), unet(**inputs))
    losses = []
    for one, levels in ((unet, ()), (loaded, (0, 1))):
        one.train().recompute_levels(levels)
        losses.append(one(**inputs).square().mean())
        losses[-1].backward()
        assert all(weight.grad is not None for name, weight in one.named_parameters() if "attn1" in name)
    assert torch.equal(*losses)
    for weight, other in zip(unet.parameters(), loaded.parameters(), strict=True):
        if weight.grad is not None:
            torch.testing.assert_close(weight.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_spans_that_do_not_fit_the_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"names 3 spans; the network has 2 levels: give one for each"):
        unet_with("all", "all", "none")


def test_level_of_names_counts_from_the_finest() -> None:
    names = [
        "down_blocks.0.attentions.0",
        "down_blocks.3.x",
        "mid_block.attentions.0",
        "up_blocks.0.x",
        "up_blocks.3.x",
    ]
    assert [level_of(name, 4) for name in names] == [0, 3, 3, 3, 0]


@pytest.mark.slow(seconds=3)
def test_cost_follows_the_spans() -> None:
    costs = {
        spans: unet_cost(unet_with(*spans), 1, 15, None)
        for spans in (("all", "all"), ("near", "all"), ("rows", "all"), ("none", "all"))
    }
    tflops = [cost.tflop for cost in costs.values()]
    assert tflops == sorted(set(tflops), reverse=True)
    saved = {spans[0]: cost.saved_activation_bytes for spans, cost in costs.items()}
    assert saved["none"] <= saved["rows"] <= saved["all"] < saved["near"]  # gathered keys and values are kept
