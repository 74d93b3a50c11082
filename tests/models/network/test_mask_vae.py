from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from models.network.initialization import seeded_weights
from models.network.mask_vae import (
    build_mask_vae,
    calibrate_scaling,
    decode_on_white,
    decode_rgba,
    encode_rgba,
    extend_to_mask,
    mask_of_colours,
    posterior_of,
    scale_latents,
    to_straight_alpha,
    to_vae_input,
    unscale_latents,
    white_latent,
)
from tests.models.toy_models import VAE, largest_difference

pytestmark = pytest.mark.usefixtures("_without_gradients")


@pytest.fixture
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def rgb_vae() -> AutoencoderKL:
    shape = VAE.model_dump(exclude={"pretrained"})
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    with seeded_weights(0):
        return AutoencoderKL(in_channels=3, out_channels=3, **blocks, **shape).eval()


def pictures(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def test_mask_vae_at_step_zero_equals_its_rgb_base_exactly(tmp_path: Path) -> None:
    base = rgb_vae()
    base.save_pretrained(tmp_path)
    vae = build_mask_vae(VAE.model_copy(update={"pretrained": str(tmp_path)})).eval()
    images = to_vae_input(pictures())
    latents = base.encode(images[:, :3]).latent_dist.mode()
    assert torch.equal(vae.encode(images).latent_dist.mode(), latents)
    decoded = vae.decode(latents).sample
    assert torch.equal(decoded[:, :3], base.decode(latents).sample)
    assert not decoded[:, 3].any()
    added = sum(p.numel() for p in vae.parameters()) - sum(p.numel() for p in base.parameters())
    vae.save_pretrained(tmp_path / "extended")
    assert str(tmp_path) not in (tmp_path / "extended" / "config.json").read_text()
    assert added == 2 * 9 * VAE.block_out_channels[0] + 1


@pytest.mark.nightly
@pytest.mark.slow
def test_mask_vae_at_full_size_and_step_zero_equals_its_base() -> None:
    shape = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32}
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    with seeded_weights(0):
        base = AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, **blocks, **shape).eval()
    images = to_vae_input(torch.rand(1, 4, 128, 128, generator=torch.Generator().manual_seed(0)))
    latents = base.encode(images[:, :3]).latent_dist.mode()
    colours = base.decode(latents).sample
    assert sum(p.numel() for p in base.parameters()) == pytest.approx(83.65e6, rel=1e-3)
    vae = extend_to_mask(base)
    assert largest_difference(vae.encode(images).latent_dist.mode(), latents) < 1e-4 * latents.abs().max()
    assert largest_difference(vae.decode(latents).sample[:, :3], colours) < 1e-4 * colours.abs().max()


def test_mask_vae_extended_and_saved_loads_with_four_channels(tmp_path: Path) -> None:
    vae = extend_to_mask(rgb_vae())
    vae.save_pretrained(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path)
    assert torch.equal(encode_rgba(loaded, pictures()), encode_rgba(vae, pictures()))


def test_mask_vae_from_a_base_of_another_shape_is_refused(tmp_path: Path) -> None:
    rgb_vae().save_pretrained(tmp_path / "rgb")
    extend_to_mask(rgb_vae()).save_pretrained(tmp_path / "rgba")
    other = VAE.model_copy(update={"pretrained": str(tmp_path / "rgb"), "layers_per_block": 2})
    with pytest.raises(ValueError, match="layers_per_block is 2 but"):
        build_mask_vae(other)
    with pytest.raises(ValueError, match="4 input channels"):
        build_mask_vae(VAE.model_copy(update={"pretrained": str(tmp_path / "rgba")}))


def test_mask_vae_built_with_three_widths_halves_images_twice() -> None:
    vae = build_mask_vae(VAE.model_copy(update={"block_out_channels": (8, 8, 16)})).eval()
    assert encode_rgba(vae, pictures()).shape == (3, 4, 4, 4)
    assert decode_rgba(vae, torch.zeros(2, 4, 4, 4)).shape == (2, 4, 16, 16)


def test_vae_input_of_a_transparent_picture_is_white_with_an_empty_mask() -> None:
    picture = torch.tensor([0.2, 0.4, 0.6, 0.0]).view(1, 4, 1, 1)
    assert to_vae_input(picture).flatten().tolist() == [1, 1, 1, -1]
    picture[:, 3] = 0.5
    assert to_vae_input(picture).flatten().tolist() == pytest.approx([0.2, 0.4, 0.6, 0])


def test_straight_alpha_composited_on_white_gives_the_colours_again() -> None:
    images = to_vae_input(pictures()) / 2 + 0.5
    rgba = to_straight_alpha(images[:, :3], images[:, 3:])
    assert largest_difference(rgba, pictures()) < 1e-3
    assert largest_difference(to_vae_input(rgba), to_vae_input(pictures())) < 1e-5
    too_dark = to_straight_alpha(torch.zeros(1, 3, 1, 1), torch.full((1, 1, 1, 1), 0.25))
    assert too_dark.flatten().tolist() == [0, 0, 0, 0.25]


def test_decoding_many_latents_equals_decoding_each() -> None:
    with seeded_weights(0):
        vae = build_mask_vae(VAE).eval()
    latents = torch.randn(11, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    rgb, mask = decode_on_white(vae, latents)
    raw = vae.decode(unscale_latents(vae, latents[10:])).sample
    assert largest_difference(rgb[10:], (raw[:, :3] / 2 + 0.5).clamp(0, 1)) < 1e-5
    assert largest_difference(mask[10:], raw[:, 3:].sigmoid()) < 1e-5
    assert rgb.min() >= 0
    assert rgb.max() <= 1


def test_scaling_calibrated_on_latents_gives_them_unit_deviation(tmp_path: Path) -> None:
    vae = build_mask_vae(VAE)
    latents = 7 * torch.randn(5, 4, 8, 8, generator=torch.Generator().manual_seed(0)) + 2
    calibrate_scaling(vae, latents)
    assert scale_latents(vae, latents).std().item() == pytest.approx(1, rel=1e-5)
    vae.save_pretrained(tmp_path)
    loaded = AutoencoderKL.from_pretrained(tmp_path)
    assert torch.equal(scale_latents(loaded, latents), scale_latents(vae, latents))
    assert largest_difference(unscale_latents(vae, scale_latents(vae, latents)), latents) < 1e-5


def test_vae_without_mask_channel_sees_colours_alone_and_reads_masks_from_them(tmp_path: Path) -> None:
    colours = VAE.model_copy(update={"mask_channel": False})
    with seeded_weights(0):
        vae = build_mask_vae(colours).eval()
    other_mask = to_vae_input(pictures())
    other_mask[:, 3] = 1
    given = posterior_of(vae, to_vae_input(pictures())).mode()
    assert torch.equal(posterior_of(vae, other_mask).mode(), given)
    assert torch.equal(encode_rgba(vae, pictures()), scale_latents(vae, given))
    rgb, mask = decode_on_white(vae, scale_latents(vae, given))
    assert (rgb.shape, mask.shape) == ((3, 3, 16, 16), (3, 1, 16, 16))
    assert torch.equal(mask, mask_of_colours(rgb))
    rgb_vae().save_pretrained(tmp_path)
    pretrained = build_mask_vae(colours.model_copy(update={"pretrained": str(tmp_path)}))
    assert torch.equal(posterior_of(pretrained, other_mask).mode(), posterior_of(rgb_vae(), other_mask).mode())


def test_mask_of_colours_is_half_where_the_darkest_colour_is_95_percent() -> None:
    colours = torch.tensor([[1, 1, 1], [1, 0.95, 1], [0.9, 1, 1], [0, 0, 0]]).T.reshape(1, 3, 2, 2)
    assert mask_of_colours(colours).flatten().tolist() == pytest.approx([0, 0.5, 1, 1], abs=1e-5)


def test_white_latent_is_that_of_an_opaque_white_picture() -> None:
    vae = build_mask_vae(VAE).eval()
    assert torch.equal(white_latent(vae, 16), encode_rgba(vae, torch.ones(1, 4, 16, 16))[0])
    assert not torch.equal(white_latent(vae, 16), encode_rgba(vae, torch.zeros(1, 4, 16, 16))[0])
