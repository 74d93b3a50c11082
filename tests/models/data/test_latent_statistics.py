import re
from pathlib import Path

import pytest
import torch

from models.data.latent_statistics import LatentStatistics, statistics_of, sums_of, sums_of_shard
from models.data.latents import ObjectLatents, sample_posterior, write_shard

SCALE = 0.5


def moments(seed: int) -> torch.Tensor:
    """(V, 2C, H, W) float16: means around 1 and -3, deviations of some and of none of the samples."""
    rng = torch.Generator().manual_seed(seed)
    mean_VCHW = torch.randn(5, 2, 16, 16, generator=rng) + torch.tensor([1.0, -3.0])[:, None, None]
    logvar_VCHW = torch.tensor([1.0, -40.0])[:, None, None].expand(5, 2, 16, 16)
    return torch.cat([mean_VCHW, logvar_VCHW], dim=1).half()


def test_latent_statistics_are_those_of_scaled_samples() -> None:
    objects = [moments(seed) for seed in range(8)]
    found = statistics_of([sums_of(objects[:3]), sums_of(objects[3:])], SCALE)
    noise = torch.randn(40, 2, 16, 16, generator=torch.Generator().manual_seed(9))
    samples = SCALE * sample_posterior(torch.cat(objects).float(), noise)
    assert found.means_C == pytest.approx(samples.mean((0, 2, 3)).tolist(), abs=0.02)
    assert found.deviations_C == pytest.approx(samples.std((0, 2, 3)).tolist(), rel=0.02)
    assert found.deviation == pytest.approx(samples.std().item(), rel=0.02)


def test_latent_statistics_have_equal_bits_in_any_order() -> None:
    objects = [(moments(seed).float() * 3**seed).half() for seed in range(6)]
    assert sums_of(reversed(objects)) == sums_of(objects)
    parts = [sums_of([item]) for item in objects]
    assert statistics_of(parts, SCALE) == statistics_of(parts[::-1], SCALE) == statistics_of([sums_of(objects)], SCALE)


def test_latent_sums_of_a_shard_are_those_of_its_objects(tmp_path: Path) -> None:
    objects = {name: ObjectLatents(moments(seed), torch.zeros(1, 3)) for seed, name in enumerate("ab")}
    write_shard(tmp_path / "shard", objects)
    assert sums_of_shard(tmp_path / "shard") == sums_of(item.moments_VCHW for item in objects.values())


@pytest.mark.parametrize(
    ("means", "deviations", "deviation"),
    [([0, 0], [2.1, 0.5], 1.4), ([0, 0], [0.2, 1], 1), ([2.1, 0], [1, 1], 1.2), ([0, 0], [1.5, 1.5], 1.5)],
)
def test_latents_that_are_far_off_are_told_with_numbers_and_remedy(
    means: list[float], deviations: list[float], deviation: float
) -> None:
    said = LatentStatistics(means, deviations, deviation).warning()
    assert said is not None
    for number in (*means, *deviations):
        assert f"{number:.2f}" in said
    assert re.search(r"deviate by \d.*: the noise schedule does not fit them; raise train_vae.kl_weight, or", said)


@pytest.mark.parametrize(
    "usual",
    [  # Stable Diffusion's on ImageNet, by EDM2's code; the demo's, on white
        LatentStatistics([1.06, 0.59, 0.02, -0.39], [0.76, 0.84, 0.68, 0.60], 0.92),
        LatentStatistics([0.51, 0.93, -0.84, -0.74], [0.72, 0.77, 0.57, 0.46], 1.003),
    ],
)
def test_usual_latents_are_not_warned_of(usual: LatentStatistics) -> None:
    assert usual.warning() is None
