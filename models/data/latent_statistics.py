"""Mean and deviation of each channel of a latent set, which the diffusion expects near those of its pretrained weights.

Sums are rounded once, so the order in which objects were made, and by how many processes, changes no bit.
"""

# Shapes: V view, C latent channel, H and W latent size

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from torch import Tensor

DEVIATIONS = (1 / math.sqrt(2), math.sqrt(2))
"""Bounds of the deviation of all scaled latents, which LDM scales to 1 (Rombach et al. 2022, app. G): beyond them the
ratio of signal to noise is off by a factor of two at every timestep."""
CHANNEL_MEAN = 2.0
"""Largest size of a scaled channel's mean: twice that of Stable Diffusion's on ImageNet (1.06, 0.59, 0.02 and -0.39 by
the statistics in EDM2's code, Karras et al. 2024) and of the demo's, 0.93."""
CHANNEL_DEVIATIONS = (0.25, 2.0)
"""Bounds of a scaled channel's deviation: half of the demo's smallest, 0.46 (on ImageNet 0.60 to 0.84), and twice 1."""


@dataclass(frozen=True)
class LatentSums:
    """Sums over the latents of some objects, of each channel."""

    count: int
    """Values of a channel."""
    first_C: list[float]
    """Sums of the posterior's mean."""
    second_C: list[float]
    """Sums of the expected squares: squared mean and variance."""


@dataclass(frozen=True)
class LatentStatistics:
    """Of samples of the posterior, scaled: what the diffusion is trained on."""

    means_C: list[float]
    deviations_C: list[float]
    deviation: float
    """Of all channels together, around their common mean."""

    def warning(self) -> str | None:
        """What is far off from what the diffusion expects, with the remedy; None: nothing."""
        low, high = CHANNEL_DEVIATIONS
        is_off = not DEVIATIONS[0] <= self.deviation <= DEVIATIONS[1]
        is_off |= any(abs(mean) > CHANNEL_MEAN for mean in self.means_C)
        is_off |= any(not low <= deviation <= high for deviation in self.deviations_C)
        if not is_off:
            return None
        return (
            f"the scaled latents deviate by {self.deviation:.3g} ({DEVIATIONS[0]:.2f} to {DEVIATIONS[1]:.2f} wanted), "
            f"their channels by {_listed(self.deviations_C)} ({low:g} to {high:g}) around {_listed(self.means_C)} "
            f"(at most {CHANNEL_MEAN:g}): the noise schedule does not fit them; raise train_vae.kl_weight, or lower "
            "train_vae.optimizer.learning_rate, and train the VAE again"
        )


def sums_of(moments: Iterable[Tensor]) -> LatentSums:
    """Add up the moments (V, 2C, H, W) of objects, mean and log variance, as stored."""
    counts, firsts, seconds = [], [], []
    for moments_VCHW in moments:
        mean_VCHW, logvar_VCHW = np.split(moments_VCHW.cpu().numpy().astype(np.float64), 2, axis=1)
        variance_VCHW = np.exp(logvar_VCHW.clip(-30.0, 20.0))  # as models.data.latents.sample_posterior
        counts.append(mean_VCHW[:, 0].size)
        firsts.append(mean_VCHW.sum(axis=(0, 2, 3)))
        seconds.append((mean_VCHW**2 + variance_VCHW).sum(axis=(0, 2, 3)))
    return LatentSums(sum(counts), _column_sums(firsts), _column_sums(seconds))


def sums_of_shard(path: Path) -> LatentSums:
    """Add up the moments of all objects of a shard of latents."""
    with safe_open(path, framework="pt") as stored:
        return sums_of(stored.get_tensor(name) for name in stored.keys() if name.endswith("/moments"))  # noqa: SIM118


def statistics_of(parts: Iterable[LatentSums], scaling_factor: float) -> LatentStatistics:
    """Join the sums of all objects, unscaled, to statistics of scaled latents."""
    sums = list(parts)
    count = sum(part.count for part in sums)
    first_C = np.array(_column_sums([part.first_C for part in sums])) / count
    second_C = np.array(_column_sums([part.second_C for part in sums])) / count
    deviation = math.sqrt(second_C.mean() - first_C.mean() ** 2)
    deviations_C = np.sqrt(second_C - first_C**2)
    return LatentStatistics(
        means_C=[round(float(value) * scaling_factor, 6) for value in first_C],
        deviations_C=[round(float(value) * scaling_factor, 6) for value in deviations_C],
        deviation=round(deviation * scaling_factor, 6),
    )


def _column_sums(rows: Iterable[Iterable[float]]) -> list[float]:
    """Add up each column, rounded once and so in any order."""
    return [math.fsum(column) for column in zip(*rows, strict=True)]


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
