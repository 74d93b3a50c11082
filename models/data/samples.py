"""Training samples of the diffusion: from a drawn sample number to the tensors the UNet takes. Knows no UNet."""

# B sample, K condition view, T kept target, V = K + T with the conditions first, C latent channel, D embedding
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from models.data.draws import Purpose, SampleDraw, SamplePlan, aligned_views, stream
from models.data.latents import LatentSet, sample_posterior


@dataclass(frozen=True)
class Samples:
    """Samples that have the same number of views, so that no mask is needed."""

    clean_BVCHW: Tensor
    """Scaled latents of all views; the condition views are denoised too (docs/paper.md 1.3)."""
    noise_BVCHW: Tensor
    condition_BKCHW: Tensor
    """Scaled latents of the condition images; zero where the condition is dropped."""
    embeds_BKD: Tensor
    """Their image embeddings; zero where the condition is dropped."""
    target_ids_BT: Tensor
    timestep_B: Tensor

    def to(self, device: torch.device) -> "Samples":
        """The same on another device."""
        return Samples(*(getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)))

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.timestep_B)


def group_by_views(samples: Sequence[Samples], max_samples: int | None) -> list[Samples]:
    """Join single samples into batches of equal number of views, the fewest first, of at most `max_samples`."""
    groups: dict[int, list[Samples]] = {}
    for sample in samples:
        groups.setdefault(sample.clean_BVCHW.shape[1], []).append(sample)
    joined = []
    for _, group in sorted(groups.items()):
        size = max_samples or len(group)
        joined += [_join(group[first : first + size]) for first in range(0, len(group), size)]
    return joined


def _join(samples: Sequence[Samples]) -> Samples:
    return Samples(*(torch.cat([getattr(one, field.name) for one in samples]) for field in fields(Samples)))


@dataclass(frozen=True)
class SampleReader:
    """Reads drawn samples from a latent set."""

    latents: LatentSet
    uids: Sequence[str]
    """Objects in the order that draws count them in."""
    plan: SamplePlan
    scaling_factor: float
    """Of the VAE."""

    def read(self, number: int) -> Samples:
        """Training sample `number`."""
        return self._read(self.plan.draw(number), Purpose.NOISE)

    def read_validation(self, number: int, *, timestep: int) -> Samples:
        """Validation sample `number`: always the same views and the same noise."""
        return self._read(self.plan.draw_validation(number, timestep=timestep), Purpose.VALIDATION_NOISE)

    def _read(self, drawn: SampleDraw, purpose: Purpose) -> Samples:
        layout, uid = self.latents.layout, self.uids[drawn.item]
        column = self.latents.condition_column(uid, int(drawn.conditions[0]))
        targets = aligned_views(drawn.targets, column, layout.num_columns)
        moments = self.latents.views(uid, np.concatenate([layout.num_targets + drawn.conditions, targets]))
        rng = stream(self.plan.seed, purpose, drawn.number)
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
        )

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        """Uids of training samples."""
        return [self.uids[self.plan.draw(sample_id).item] for sample_id in sample_ids]
