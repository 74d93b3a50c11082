"""The noise that a sampler draws: whose it is, and what does not move it."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.inference.sampling import sample_views
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import SchedulerName, build_scheduler
from tests.models.toy_models import NOISE, largest_difference, toy_unet

STEPS, TARGETS = 4, (1, 6, 3)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def unet() -> MultiViewUNet:
    """A network whose targets see no condition view: each view attends to itself alone and to embeddings of zero."""
    return toy_unet(global_attention=False)


def drawn(unet: MultiViewUNet, name: SchedulerName, num_conditions: int, num_objects: int = 1, **given: Any) -> Tensor:
    """Targets of some objects with equally many condition views."""
    return sample_views(
        unet,
        build_scheduler(NOISE, name),
        condition_latents_BKCHW=torch.randn(num_objects, num_conditions, 4, 8, 8, generator=rng(5)),
        embeds_BLD=torch.zeros(num_objects, num_conditions, 24),
        white_latent_CHW=torch.zeros(4, 8, 8),
        target_ids=TARGETS,
        num_steps=STEPS,
        guidance_scale=1.0,
        **given,
    )


@pytest.mark.parametrize("name", ["ddpm", "ddim", "dpmsolver++", "unipc"])
@pytest.mark.parametrize("num_objects", [1, 2])
def test_noise_of_targets_is_the_same_for_any_number_of_condition_views(
    unet: MultiViewUNet, name: SchedulerName, num_objects: int
) -> None:
    one, two, three = (
        drawn(unet, name, count, num_objects, generator=[rng(row) for row in range(num_objects)]) for count in (1, 2, 3)
    )
    assert largest_difference(one, two) < 1e-4 * one.abs().max()
    assert largest_difference(one, three) < 1e-4 * one.abs().max()


def test_noise_of_one_generator_and_of_given_latents_is_the_same_for_any_number_of_condition_views(
    unet: MultiViewUNet,
) -> None:
    latents = torch.randn(2, len(TARGETS), 4, 8, 8, generator=rng(9))
    for given in ({}, {"latents_BTCHW": latents}):
        one, two = (drawn(unet, "ddpm", count, 2, generator=rng(), **given) for count in (1, 2))
        assert largest_difference(one, two) < 1e-4 * one.abs().max()


def test_noise_of_steps_differs_between_targets_objects_steps_and_calls(unet: MultiViewUNet) -> None:
    generator, latents = rng(), torch.zeros(2, len(TARGETS), 4, 8, 8)
    first, second = (drawn(unet, "ddpm", 1, 2, generator=generator, latents_BTCHW=latents) for _ in range(2))
    assert largest_difference(first, second) > 0.1
    assert largest_difference(first[0], first[1]) > 0.1
    draws: list[Tensor] = []

    def keep(step: int, timestep: Tensor, latents_BTCHW: Tensor) -> Tensor:  # noqa: ARG001
        draws.append(latents_BTCHW)
        return torch.zeros_like(latents_BTCHW)

    drawn(unet, "ddpm", 1, generator=rng(), latents_BTCHW=latents[:1], on_step=keep)
    correlations = torch.corrcoef(torch.cat([draw.reshape(len(TARGETS), -1) for draw in draws[:2]]))
    assert correlations.fill_diagonal_(0).abs().max() < 0.3


def test_noise_without_a_generator_comes_from_torchs_own(unet: MultiViewUNet) -> None:
    with torch.random.fork_rng(devices=[]):
        draws = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            draws.append(drawn(unet, "ddpm", 1, generator=None))
    assert torch.equal(draws[0], draws[1])
    assert largest_difference(draws[0], draws[2]) > 0.1
