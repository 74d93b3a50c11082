"""Does distillation draw in few steps what its teacher draws in many? Latents with a spread, so that the ODE bends.

Every view's latent is its place on the grid plus normal noise of half the deviation of scaled latents: sampled from a
posterior, as a VAE's latents are. A small network learns it, and is distilled.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.data.latent_index import ObjectRow
from models.data.latents import LatentSet, ObjectLatents, write_index, write_shard
from models.inference.sampling import sample_views
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import SchedulerName, build_scheduler
from models.training.diffusion import DiffusionTraining
from tests.models.toy_diffusion import LOOP, OPTIMIZER, make_training, run
from tests.models.toy_distillation import distilled_from
from tests.models.toy_latents import CHANNELS, LAYOUT, SCALE, condition_columns, embeds_of, moments_of
from tests.models.toy_models import NOISE

LOG_VARIANCE = 1.4
"""Of the posterior: with the scale of toy latents a deviation of a half."""
TARGETS = range(0, 32, 5)
NETWORK: dict[str, Any] = {"block_out_channels": (16, 32), "view_scale": 1.0, "generation_input": "reference"}
PLAN: dict[str, Any] = {"num_items": 1, "multi_condition_share": 0.0, "kept_targets": 7}


def spread_latents(folder: Path) -> LatentSet:
    """One object of toy latents, whose posterior has a spread."""
    moments = moments_of(0).clone()
    moments[:, :CHANNELS] /= 4  # of unit size and less, once they are scaled
    moments[:, CHANNELS:] = LOG_VARIANCE
    folder.mkdir(parents=True, exist_ok=True)
    write_shard(folder / "one.safetensors", {"o0": ObjectLatents(moments, embeds_of(0) / 10)})
    white = torch.cat([torch.full((1, CHANNELS, 4, 4), 0.5), torch.full((1, CHANNELS, 4, 4), -30.0)], dim=1)
    write_index(folder, LAYOUT, white, {"o0": ObjectRow("one.safetensors", "train", condition_columns(0))})
    return LatentSet.open(folder)


def trained_teacher(latents: LatentSet, folder: Path, steps: int) -> DiffusionTraining:
    """A network that has learnt the latents."""
    training = make_training(latents, network=NETWORK, **PLAN)
    fit(training, folder, steps, 5e-3)
    return training


def distil(
    training: DiffusionTraining, folder: Path, *, num_points: int, num_segments: int, steps: int
) -> MultiViewUNet:
    """The student of a teacher."""
    distillation = distilled_from(training, num_points, num_segments)
    fit(distillation, folder, steps, 3e-3)
    student: MultiViewUNet = distillation.model.eval()
    return student


def fit(training: DiffusionTraining, folder: Path, steps: int, learning_rate: float) -> None:
    loop = LOOP.model_copy(
        update={"batch_size": 8, "samples": 8 * steps, "ema_decay": 0.0}
        | dict.fromkeys(("log_every", "validate_every", "checkpoint_every"), steps)
    )
    optimizer = OPTIMIZER.model_copy(update={"learning_rate": learning_rate, "schedule": "cosine"})
    run(training, folder, loop, optimizer=optimizer)


def drawn(unet: MultiViewUNet, latents: LatentSet, sampler: SchedulerName, steps: int) -> Tensor:
    """Some targets from the first condition view, always from the same noise."""
    return sample_views(
        unet,
        build_scheduler(NOISE, sampler),
        condition_latents_BKCHW=(latents.condition_views("o0", [0])[:, :CHANNELS] * SCALE)[None],
        embeds_BLD=latents.embeds("o0", [0])[None],
        white_latent_CHW=latents.white()[0, :CHANNELS] * SCALE,
        target_ids=TARGETS,
        num_steps=steps,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(0),
    )[0]


def distance(found: Tensor, wanted: Tensor) -> float:
    """Root mean square."""
    return (found - wanted).square().mean().sqrt().item()
