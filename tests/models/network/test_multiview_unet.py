"""The multi-view UNet against the single-image network it is made of, and against itself."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0

from models.config import UNetConfig
from models.network.attention import unasked_parameters
from models.network.conditioning import assemble_conditioning
from models.network.initialization import seeded_weights
from models.network.multiview_unet import MultiViewUNet, build_unet
from tests.models.toy_models import GEOMETRY, UNET, fill_zeros, largest_difference, only, toy_inputs, toy_unet

ROUNDING = 2e-5


@pytest.fixture(scope="module")
def unet() -> MultiViewUNet:
    return toy_unet()


def plain_unet(**changes: Any) -> UNet2DConditionModel:
    with seeded_weights(5):
        base = UNet2DConditionModel(**toy_unet().config.base_config | changes)
        fill_zeros(base)
    return base.eval()


def plain_output(base: UNet2DConditionModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Every view through the single-image network on its own, but for its attention where that spans views."""
    num_objects, num_views = inputs["flag_BV"].shape
    side = inputs["noisy_BVCHW"].shape[-1]
    flag = inputs["flag_BV"].float()[:, :, None, None, None].expand(-1, -1, 1, side, side)
    channels = torch.cat([inputs["noisy_BVCHW"], flag, inputs["condition_BVCHW"]], 2)
    time, context = inputs["timestep_B"], inputs["embeds_BLD"]
    out = base(
        channels.flatten(0, 1), time.repeat_interleave(num_views), context.repeat_interleave(num_views, 0)
    ).sample
    return out.reshape(num_objects, num_views, *out.shape[1:])


class JoinedViews(AttnProcessor2_0):
    """diffusers' own attention, self-attention on the tokens of all views of an object as one sequence."""

    def __init__(self, num_views: int) -> None:
        super().__init__()
        self.num_views = num_views

    def __call__(self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: Any = None, **_: Any) -> Any:
        if encoder_hidden_states is not None:
            return super().__call__(attn, hidden_states, encoder_hidden_states)
        joined = torch.cat(hidden_states.unflatten(0, (-1, self.num_views)).unbind(1), dim=1)
        out = super().__call__(attn, joined)
        return torch.stack(out.chunk(self.num_views, dim=1), dim=1).flatten(0, 1)


@torch.no_grad()
@pytest.mark.parametrize(("num_objects", "num_views", "num_conditions"), [(2, 5, 3), (1, 3, 1)])
def test_unet_at_step_zero_equals_its_base_with_attention_on_the_joined_views(
    num_objects: int, num_views: int, num_conditions: int
) -> None:
    unet, base = toy_unet(filled=False), plain_unet()
    unet.base.load_state_dict(base.state_dict())
    inputs = toy_inputs(num_objects, num_views, num_conditions=num_conditions)
    alone = plain_output(base, inputs)
    base.set_attn_processor(JoinedViews(num_views))
    joined = plain_output(base, inputs)
    assert largest_difference(unet(**inputs), joined) < ROUNDING
    assert largest_difference(joined, alone) > 1e-2


@torch.no_grad()
def test_unet_with_one_view_at_step_zero_equals_its_inpainting_base(tmp_path: Path) -> None:
    base = plain_unet()
    base.save_pretrained(tmp_path / "unet")
    config = UNET.model_copy(update={"pretrained": str(tmp_path / "unet")})
    unet = build_unet(config, num_targets=8, latent_channels=4, latent_size=8, geometry=GEOMETRY).eval()
    inputs = toy_inputs(3, 1)
    assert largest_difference(unet(**inputs), plain_output(base, inputs)) < ROUNDING


@torch.no_grad()
def test_unet_with_per_view_attention_at_step_zero_equals_its_base_on_every_view() -> None:
    unet, inputs = toy_unet(filled=False, global_attention=False), toy_inputs(2, 4, num_conditions=2)
    base = plain_unet()
    unet.base.load_state_dict(base.state_dict())
    assert largest_difference(unet(**inputs), plain_output(base, inputs)) < ROUNDING
    seeing = toy_unet(filled=False)
    seeing.base.load_state_dict(base.state_dict())
    assert largest_difference(seeing(**inputs), unet(**inputs)) > 1e-2


@torch.no_grad()
def test_unet_when_views_are_permuted_permutes_its_output(unet: MultiViewUNet) -> None:
    inputs, order = toy_inputs(2, 5, num_conditions=2), [3, 0, 4, 1, 2]
    out = unet(**inputs)
    assert largest_difference(unet(**only(inputs, order)), out[:, order]) < ROUNDING
    wrong_ids = only(inputs, order) | {"view_ids_BV": inputs["view_ids_BV"]}
    assert largest_difference(unet(**wrong_ids), out[:, order]) > 1e-2


@torch.no_grad()
def test_unet_with_a_changed_view_changes_the_other_views_of_that_object_only(unet: MultiViewUNet) -> None:
    inputs = toy_inputs(2, 3)
    before = unet(**inputs)
    inputs["noisy_BVCHW"][1, 2] += 1
    change = (unet(**inputs) - before).abs().amax((2, 3, 4))
    assert change[0].max() == 0
    assert change[1].min() > 1e-3


@torch.no_grad()
def test_unet_with_a_subset_of_views_equals_all_views_with_the_others_masked(unet: MultiViewUNet) -> None:
    inputs, kept = toy_inputs(2, 6), [0, 2, 5]
    mask = torch.zeros(2, 6, dtype=torch.bool)
    mask[:, kept] = True
    subset = unet(**only(inputs, kept))
    assert largest_difference(subset, unet(**inputs, view_mask_BV=mask)[:, kept]) < ROUNDING
    assert largest_difference(subset, unet(**inputs)[:, kept]) > 1e-3


@torch.no_grad()
def test_unet_with_a_padded_batch_equals_each_object_alone(unet: MultiViewUNet) -> None:
    rng, targets = torch.Generator().manual_seed(0), torch.tensor([[1, 4], [0, 7]])
    latents, noisy = torch.randn(2, 3, 4, 8, 8, generator=rng), torch.randn(2, 5, 4, 8, 8, generator=rng)
    embeds, white = torch.randn(2, 3, 24, generator=rng), torch.randn(4, 8, 8, generator=rng)
    time, counts = torch.tensor([10, 900]), torch.tensor([3, 1])
    given = {"condition_latents_BKCHW": latents, "embeds_BKD": embeds, "white_latent_CHW": white}
    batch = assemble_conditioning(unet, **given, target_ids_BT=targets, num_conditions_B=counts)
    together = unet(noisy, time, **vars(batch))
    for row, count in enumerate(counts.tolist()):
        kept = [*range(count), 3, 4]
        given = {"condition_latents_BKCHW": latents[row, None, :count], "embeds_BKD": embeds[row, None, :count]}
        one = assemble_conditioning(unet, **given, white_latent_CHW=white, target_ids_BT=targets[row, None])
        alone = unet(noisy[row, None, kept], time[row, None], **vars(one))
        assert largest_difference(alone[0], together[row, kept]) < ROUNDING


def test_conditioning_puts_conditions_first_with_their_flag_and_ids() -> None:
    unet = toy_unet(condition_flag=0)
    latents, white = torch.randn(1, 2, 4, 8, 8), torch.randn(1, 4, 8, 8)
    given = {"condition_latents_BKCHW": latents, "embeds_BKD": torch.randn(1, 2, 24), "white_latent_CHW": white[0]}
    conditioning = assemble_conditioning(unet, **given, target_ids_BT=torch.tensor([[5, 0]]))
    assert conditioning.flag_BV.tolist() == [[0, 0, 1, 1]]
    assert conditioning.view_ids_BV.tolist() == [[0, 1, 8, 3]]
    assert torch.equal(conditioning.condition_BVCHW[0], torch.cat([latents[0], white, white]))
    assert conditioning.view_mask_BV is None


def test_conditioning_with_a_reference_gives_every_target_the_first_condition_latent() -> None:
    latents, white = torch.randn(2, 2, 4, 8, 8), torch.randn(4, 8, 8)
    given = {"condition_latents_BKCHW": latents, "embeds_BKD": torch.randn(2, 2, 24), "white_latent_CHW": white}
    given["target_ids_BT"] = torch.tensor([[5, 0, 1], [1, 2, 3]])
    of_white, of_reference = toy_unet(), toy_unet(generation_input="reference")
    plain, guided = (assemble_conditioning(unet, **given) for unet in (of_white, of_reference))
    assert torch.equal(plain.condition_BVCHW[:, 2:], white.expand(2, 3, 4, 8, 8))
    assert torch.equal(guided.condition_BVCHW[:, 2:], latents[:, :1].expand(2, 3, 4, 8, 8))
    assert torch.equal(guided.condition_BVCHW[:, :2], latents)
    assert torch.equal(guided.flag_BV, plain.flag_BV)
    half = assemble_conditioning(of_reference, **given, is_dropped_B=torch.tensor([False, True]))
    assert torch.equal(half.condition_BVCHW[0], guided.condition_BVCHW[0])
    assert torch.equal(half.condition_BVCHW[1], plain.condition_BVCHW[1])


def test_unet_starts_with_the_view_scale_that_its_config_says() -> None:
    zero, one = toy_unet(filled=False), toy_unet(filled=False, view_scale=1.0)
    assert (zero.view_scale.item(), one.view_scale.item()) == (0.0, 1.0)
    names = zero.state_dict().keys() - {"view_scale"}
    assert all(torch.equal(zero.state_dict()[name], one.state_dict()[name]) for name in names)
    inputs = toy_inputs(1, 4)
    swapped = inputs | {"view_ids_BV": inputs["view_ids_BV"][:, [0, 2, 1, 3]]}
    with torch.no_grad():
        assert torch.equal(zero(**swapped), zero(**inputs))
        assert largest_difference(one(**swapped), one(**inputs)) > 1e-3
    toy_unet(filled=False, view_scale=1.0, view_embedding=False)


def test_unet_with_clean_condition_views_does_not_read_their_noisy_latents() -> None:
    unet, inputs = toy_unet(condition_input="clean"), toy_inputs(1, 4)
    is_condition_V = inputs["flag_BV"][0] == 1
    assert 0 < is_condition_V.sum() < 4
    noisier = inputs["noisy_BVCHW"] + 10 * is_condition_V[:, None, None, None]
    clean = torch.where(is_condition_V[:, None, None, None], inputs["condition_BVCHW"], inputs["noisy_BVCHW"])
    with torch.no_grad():
        assert torch.equal(unet(**inputs | {"noisy_BVCHW": noisier}), unet(**inputs))
        assert torch.equal(toy_unet()(**inputs | {"noisy_BVCHW": clean}), unet(**inputs))
        assert largest_difference(toy_unet()(**inputs | {"noisy_BVCHW": noisier}), toy_unet()(**inputs)) > 1e-3


def test_unet_with_scale_and_shift_scales_features_by_timestep_and_view() -> None:
    plain, scaled = toy_unet(), toy_unet(resnet_time_scale_shift="scale_shift")
    assert "resnet_time_scale_shift" not in plain.config.base_config, "config.json of before the field came stays"
    resnets = [each.base.down_blocks[0].resnets[0].time_emb_proj.out_features for each in (plain, scaled)]
    assert resnets[1] == 2 * resnets[0]
    inputs = toy_inputs(1, 3)
    with torch.no_grad():
        assert scaled(**inputs).isfinite().all()
    with pytest.raises(ValueError, match="no weights for it"):
        UNetConfig.model_validate(UNET.model_dump() | {"pretrained": "x/y", "resnet_time_scale_shift": "scale_shift"})


def test_unet_starts_from_angles_with_near_views_alike() -> None:
    vectors = toy_unet(filled=False, view_vectors="angles", block_out_channels=(64, 64)).view_vectors.weight
    targets = vectors[UNET.max_condition_views :].detach().unflatten(0, (2, 4))
    likeness = torch.cosine_similarity(targets[0, :1], targets[0])
    assert likeness[[1, 3]].min() > likeness[2], "views 90 degrees on are nearer than the one at the back"
    assert torch.cosine_similarity(targets[0, 0], targets[1, 0], dim=0) > likeness[2], "30 degrees above is near"
    assert 0.5 < targets.var() < 2
    assert torch.equal(vectors[:3], toy_unet(filled=False, block_out_channels=(64, 64)).view_vectors.weight[:3])


def test_unet_config_at_its_defaults_is_dumped_as_before_the_fields_came() -> None:
    dumped = UNET.model_dump(mode="json")
    assert (
        not {"generation_input", "view_scale", "condition_input", "view_vectors", "resnet_time_scale_shift"}
        & dumped.keys()
    )
    changed = UNET.model_copy(update={"generation_input": "reference", "view_scale": 1.0}).model_dump(mode="json")
    assert (changed["generation_input"], changed["view_scale"]) == ("reference", 1.0)


def test_unet_with_gradient_checkpointing_gives_the_same_loss_and_gradients() -> None:
    inputs, runs = toy_inputs(2, 3), []
    mask = torch.tensor([[True, True, True], [True, False, True]])
    for levels in ((), (0,), (0, 1)):
        unet = toy_unet().train()
        unet.recompute_levels(levels)
        assert unet.recomputed_levels == list(levels)
        loss = unet(**inputs, view_mask_BV=mask).square().mean()
        loss.backward()
        runs.append((loss, {name: weight.grad for name, weight in unet.named_parameters() if weight.grad is not None}))
    (plain_loss, plain), *others = runs
    for loss, gradients in others:
        assert loss.item() == pytest.approx(plain_loss.item(), rel=1e-6)
        assert gradients.keys() == plain.keys()
        for name, gradient in plain.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    with pytest.raises(ValueError, match=r"recompute_levels is \[0, 2\]; the network has levels 0 to 1"):
        toy_unet().recompute_levels((0, 2))


def test_unet_at_step_zero_learns_the_view_scale_first() -> None:
    unet = toy_unet(filled=False)
    unet(**toy_inputs(2, 3)).square().mean().backward()
    scale, vectors = unet.view_scale.grad, unet.view_vectors.weight.grad
    assert scale is not None
    assert scale.abs().item() > 0
    assert vectors is not None
    assert vectors.abs().max().item() == 0


@torch.no_grad()
def test_unet_saved_and_loaded_keeps_its_outputs_and_cameras(unet: MultiViewUNet, tmp_path: Path) -> None:
    unet.save_pretrained(tmp_path)
    loaded = MultiViewUNet.from_pretrained(tmp_path)
    inputs = toy_inputs(2, 3)
    assert torch.equal(loaded(**inputs), unet(**inputs))
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == (tmp_path / "config.json").read_bytes()
    assert loaded.config.geometry == unet.config.geometry
    assert loaded.config.geometry["elevations_deg"] == [0.0, 30.0]


def test_unet_without_view_embedding_ignores_view_ids(tmp_path: Path) -> None:
    unet, inputs = toy_unet(view_embedding=False), toy_inputs(1, 3)
    unet.save_pretrained(tmp_path)
    loaded = MultiViewUNet.from_pretrained(tmp_path)
    with torch.no_grad():
        moved = unet(**inputs | {"view_ids_BV": inputs["view_ids_BV"].flip(1)})
        assert torch.equal(loaded(**inputs), moved)


def test_unet_from_another_shape_than_configured_is_refused(tmp_path: Path) -> None:
    plain_unet(cross_attention_dim=32).save_pretrained(tmp_path / "wide")
    plain_unet(in_channels=4).save_pretrained(tmp_path / "text")
    settings: dict[str, Any] = {"num_targets": 8, "latent_channels": 4, "latent_size": 8, "geometry": GEOMETRY}
    with pytest.raises(ValueError, match=r"cross_attention_dim is 24 but .* has 32"):
        build_unet(UNET.model_copy(update={"pretrained": str(tmp_path / "wide")}), **settings)
    with pytest.raises(ValueError, match="has 4 input channels; an inpainting UNet has 9"):
        build_unet(UNET.model_copy(update={"pretrained": str(tmp_path / "text")}), **settings)


@pytest.mark.nightly
@pytest.mark.slow
@torch.no_grad()
def test_unet_at_full_size_equals_its_base_with_one_view_and_with_attention_on_joined_views() -> None:
    config = UNET.model_copy(
        update={
            "block_out_channels": (320, 640, 1280, 1280),
            "attention_levels": (True, True, True, False),
            "layers_per_block": 2,
            "attention_head_dim": (5, 10, 20, 20),
            "cross_attention_dim": 1024,
            "norm_num_groups": 32,
            "max_condition_views": 10,
        }
    )
    unet = build_unet(config, num_targets=32, latent_channels=4, latent_size=64, geometry=GEOMETRY).eval()
    assert sum(parameter.numel() for parameter in unet.base.parameters()) == pytest.approx(865.9e6, rel=1e-4)
    base = UNet2DConditionModel(**unet.config.base_config).eval()
    base.load_state_dict(unet.base.state_dict())
    inputs = toy_inputs(1, 1, width=1024)
    assert largest_difference(unet(**inputs), plain_output(base, inputs)) < ROUNDING
    inputs = toy_inputs(1, 3, num_conditions=2, side=16, width=1024)
    alone = plain_output(base, inputs)
    base.set_attn_processor(JoinedViews(3))
    joined = plain_output(base, inputs)
    assert largest_difference(unet(**inputs), joined) < ROUNDING
    assert largest_difference(joined, alone) > 100 * ROUNDING


def test_unet_that_attends_in_chunks_gives_the_same_output_and_gradients() -> None:
    inputs, runs = toy_inputs(2, 4, num_conditions=2), []
    masks = {
        "view_mask_BV": torch.tensor([[True, True, True, True], [True, False, True, True]]),
        "embeds_mask_BL": torch.tensor([[True, True], [True, False]]),
    }
    for chunk in (None, 48, 1000):
        unet = toy_unet()
        unet.set_attention_chunk(chunk)
        out = unet(**inputs, **masks)
        out.square().mean().backward()
        runs.append((out.detach(), {name: parameter.grad for name, parameter in unet.named_parameters()}))
    (expected, plain), *others = runs
    seen = [0, 2, 3]
    for out, gradients in others:
        torch.testing.assert_close(out[:, seen], expected[:, seen], rtol=1e-4, atol=1e-5)
        for name, gradient in plain.items():
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    with pytest.raises(ValueError, match="chunk is 0"):
        toy_unet().set_attention_chunk(0)


def test_unet_with_one_condition_equals_one_that_reads_it_twice() -> None:
    inputs = toy_inputs(2, 4)
    once, twice = toy_unet(), toy_unet()
    doubled = inputs | {"embeds_BLD": inputs["embeds_BLD"].repeat(1, 2, 1)}
    expected_loss, expected = loss_and_gradients(twice, twice, doubled)
    loss, gradients = loss_and_gradients(once, once, inputs)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    unasked = expected.keys() - gradients.keys()
    names = {id(weight): name for name, weight in once.named_parameters()}
    assert {names[id(weight)] for weight in unasked_parameters(once)} == unasked
    assert unasked == {name for name in expected if re.search(r"attn2\.to_[qk]|blocks\.\d\.norm2", name)}
    for name in unasked:
        assert expected[name].abs().max() < 1e-8, name
    for name in gradients:
        torch.testing.assert_close(gradients[name], expected[name], rtol=1e-3, atol=1e-6, msg=name)


def loss_and_gradients(unet: MultiViewUNet, call: Any, inputs: dict[str, torch.Tensor]) -> tuple[float, dict[str, Any]]:
    loss = call(**inputs).float().square().mean()
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in unet.named_parameters() if weight.grad is not None}


@pytest.mark.usefixtures("bfloat16_attention")
def test_unet_under_bf16_autocast_gives_nearly_the_same_loss_and_gradients_in_float32() -> None:
    plain, half, inputs = toy_unet(), toy_unet(), toy_inputs(2, 3)
    expected_loss, expected = loss_and_gradients(plain, plain, inputs)

    def autocast(**keywords: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return half(**keywords)

    loss, gradients = loss_and_gradients(half, autocast, inputs)
    assert loss == pytest.approx(expected_loss, rel=0.02)
    for name, gradient in expected.items():
        assert gradients[name].dtype == torch.float32
        cosine = torch.cosine_similarity(gradients[name].flatten(), gradient.flatten(), dim=0)
        assert cosine > 0.98 or gradient.abs().max() < 1e-4, f"{name}: {cosine}"
