"""Counts of whole networks against those of their parts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.training.cost import unet_tflop, vae_cost
from models.training.operations import NetworkOperations, denoising_tflop, embedding_tflop
from tests.models.toy_models import GEOMETRY, UNET, VAE, Tower


@pytest.mark.slow(seconds=3)
def test_operations_are_those_of_the_networks_that_params_describe() -> None:
    networks = NetworkOperations(vae=VAE, unet=UNET, side=16, geometry=GEOMETRY)
    assert (networks.num_targets, networks.latent_side) == (8, 8)
    assert networks.train_unet(2, 3) == unet_tflop(networks.meta_unet, 2, 3)
    assert networks.train_unet(2, 3) == pytest.approx(3 * networks.denoise(2, 3), rel=0.05)
    both = networks.encode() + networks.decode()
    assert vae_cost(networks.meta_vae, 16, None).tflop == networks.train_vae(16)
    assert networks.train_vae(16) == pytest.approx(3 * both, rel=0.05)
    assert 0 < networks.encode() < networks.decode()


@pytest.mark.slow(seconds=6)
@pytest.mark.parametrize("attention", [True, ("rows", "near")])
def test_operations_with_many_condition_views_follow_from_those_with_few(attention: bool | tuple[str, ...]) -> None:
    unet = UNET.model_copy(update={"global_attention": attention})
    networks = NetworkOperations(vae=VAE, unet=unet, side=16, geometry=GEOMETRY)
    for conditions in (1, 10):
        counted = unet_tflop(networks.meta_unet, conditions, 3)
        assert networks.train_unet(conditions, 3) == pytest.approx(counted, rel=1e-12)
    assert networks.denoise(7, 4) == pytest.approx(denoising_tflop(networks.meta_unet, 7, 4), rel=1e-12)


@pytest.mark.slow(seconds=2)
def test_pretrained_weights_are_not_looked_up() -> None:
    unet = UNET.model_copy(update={"pretrained": "nobody/nothing/unet", "timestep_map": "pretrained"})
    vae = VAE.model_copy(update={"pretrained": "nobody/nothing/vae"})
    named = NetworkOperations(vae=vae, unet=unet, side=16, geometry=GEOMETRY)
    plain = NetworkOperations(vae=VAE, unet=UNET, side=16, geometry=GEOMETRY)
    assert named.train_unet(1, 2) == plain.train_unet(1, 2)
    assert (named.unet_parameters, named.vae_parameters) == (plain.unet_parameters, plain.vae_parameters)


def test_embedding_is_counted_as_linear_layers_and_attention() -> None:
    tower = Tower()
    tokens, width = (tower.image_size // tower.patch_size) ** 2 + 1, tower.hidden_size
    layers = 2 * tokens * width * (4 * width + 2 * 4 * width) + 2 * 2 * tokens**2 * width
    patches = 2 * (tokens - 1) * 3 * tower.patch_size**2 * width
    expected = layers + patches + 2 * width * tower.projection_dim
    with torch.device("meta"), FlopCounterMode(display=False):
        counted = embedding_tflop(tower)
    assert counted * 1e12 == pytest.approx(expected)
