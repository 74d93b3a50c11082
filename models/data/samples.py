"""Samples of a diffusion training: from a sample id to the tensors that the loss needs. Knows no UNet."""

# Shapes: B sample, K condition view, T target after view dropout, V = K + T with the conditions first,
# C latent channel, H and W latent size, D embedding width

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from models.data.draws import SampleDraw, SamplePlan, Stream, aligned_views, rng_of
from models.data.latents import LatentSet, sample_posterior


@dataclass(frozen=True)
class Samples:
    """A batch of samples with equally many condition views, so that no mask is needed."""

    clean_BVCHW: Tensor
    """Scaled latents of all views; the condition views are denoised too (docs/paper.md 1.3)."""
    noise_BVCHW: Tensor
    """Standard normal noise of the diffusion."""
    condition_BKCHW: Tensor
    """Scaled latents of the condition images; zero where the condition is dropped."""
    embeds_BKD: Tensor
    """CLIP embeddings of the condition images; zero where the condition is dropped."""
    target_ids_BT: Tensor
    """Ids of the targets, counted from the column of the first condition view."""
    timestep_B: Tensor
    """One timestep per object, the same for all its views."""
    is_dropped_B: Tensor
    """Whether the condition is dropped."""

    def to(self, device: torch.device) -> "Samples":
        """Copy all tensors to a device."""
        return Samples(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def __len__(self) -> int:
        """Number of samples B."""
        return len(self.timestep_B)


def group_by_views(samples: Sequence[Samples], max_samples: int | None) -> list[Samples]:
    """Concatenate single samples into batches with equally many views, the fewest first.

    Args:
        samples: Batches of one sample each, with equally many targets.
        max_samples: Largest batch; None for no limit.
    """
    groups: dict[int, list[Samples]] = {}
    for sample in samples:
        groups.setdefault(sample.clean_BVCHW.shape[1], []).append(sample)
    batches = []
    for _, group in sorted(groups.items()):
        size = max_samples or len(group)
        batches += [_concatenated(group[first : first + size]) for first in range(0, len(group), size)]
    return batches


def _concatenated(samples: Sequence[Samples]) -> Samples:
    return Samples(*(torch.cat([getattr(one, field.name) for one in samples]) for field in fields(Samples)))


@dataclass(frozen=True)
class SampleReader:
    """Reads the samples of a plan from a latent set.

    Latents are sampled from the VAE's posterior with noise of the sample's own; the condition branch gets the
    posterior's mean, as in sampling.
    """

    latents: LatentSet
    uids: Sequence[str]
    """Objects by their index in the plan."""
    plan: SamplePlan
    scaling_factor: float
    """Scaling factor of the VAE, 0.18215 for Stable Diffusion's."""

    def read(self, sample_id: int) -> Samples:
        """Read one training sample, a batch with B = 1.

        Raises:
            ValueError: The latents on disk are damaged.
        """
        return self._read(self.plan.draw(sample_id), Stream.NOISE)

    def read_validation(self, sample_id: int, *, timestep: int) -> Samples:
        """Read one validation sample, a batch with B = 1: always the same views and the same noise."""
        return self._read(self.plan.draw_validation(sample_id, timestep=timestep), Stream.VALIDATION_NOISE)

    def _read(self, drawn: SampleDraw, stream: Stream) -> Samples:
        layout, uid = self.latents.layout, self.uids[drawn.item]
        column = self.latents.condition_column(uid, int(drawn.conditions[0]))
        targets = aligned_views(drawn.targets, column, layout.num_columns)
        moments = self.latents.views(uid, np.concatenate([layout.num_targets + drawn.conditions, targets]))
        rng = rng_of(self.plan.seed, stream, drawn.sample_id)
        shape = (2, len(moments), layout.latent_channels, layout.latent_size, layout.latent_size)
        posterior_noise, noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        clean = sample_posterior(moments, posterior_noise) * self.scaling_factor

        # the mean, as in sampling (models.network.mask_vae.encode_rgba)
        condition = moments[: len(drawn.conditions), : layout.latent_channels] * self.scaling_factor
        embeds = self.latents.embeds(uid, drawn.conditions)
        if drawn.is_unconditional:
            condition, embeds = torch.zeros_like(condition), torch.zeros_like(embeds)
        return Samples(
            clean_BVCHW=clean[None],
            noise_BVCHW=noise[None],
            condition_BKCHW=condition[None],
            embeds_BKD=embeds[None],
            target_ids_BT=torch.from_numpy(drawn.targets)[None],
            timestep_B=torch.tensor([drawn.timestep]),
            is_dropped_B=torch.tensor([drawn.is_unconditional]),
        )

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        """Uids of the objects of training samples."""
        return [self.uids[self.plan.draw(sample_id).item] for sample_id in sample_ids]
