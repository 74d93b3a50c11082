"""The solid of balls through the real classes: its views encoded by a VAE that has seen only them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.config import LoopConfig, OptimizerConfig, VAEConfig
from models.data.images import as_unit_tensor
from models.data.latent_index import LatentLayout, ObjectRow
from models.data.latents import LatentSet, ObjectLatents, write_index, write_shard
from models.data.pixels import Pixels
from models.losses.vae_loss import VAELoss
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae, calibrate_scaling, posterior_moments
from models.training.checkpoints import Checkpoints
from models.training.history import Row
from models.training.loop import train
from models.training.vae import VAETraining, sample_latents
from tests.models.balls import AZIMUTHS, ELEVATIONS, targets
from tests.models.training.test_vae import make_config

SIDE, LATENT = 32, 8
GEOMETRY = {"azimuths": AZIMUTHS, "elevations_deg": list(ELEVATIONS), "fov_deg": 60.0, "distance": 1.5}
OPTIMIZER = OptimizerConfig(
    learning_rate=2e-3, betas=(0.9, 0.99), weight_decay=0.0, schedule="cosine", warmup_samples=100, max_grad_norm=1.0
)


@dataclass(frozen=True)
class Views:
    """Pictures of the one object."""

    pixels_VHW4: Pixels

    def __len__(self) -> int:
        return len(self.pixels_VHW4)

    def __getitem__(self, index: int) -> Pixels:
        return self.pixels_VHW4[index]

    def name(self, index: int) -> str:
        return str(index)


def trained_vae(views: Pixels, folder: Path) -> AutoencoderKL:
    shape = VAEConfig(
        pretrained=None, block_out_channels=(16, 32, 32), layers_per_block=1, latent_channels=4, norm_num_groups=8
    )
    with seeded_weights(0):
        vae, loss = build_mask_vae(shape), VAELoss(make_config(vae=shape))
    pictures = as_unit_tensor(views, torch.device("cpu"))
    fit(VAETraining(vae, loss, Views(views), pictures[:4], seed=0, batch_size=8), 800, 8, folder / "vae")
    calibrate_scaling(vae, sample_latents(vae, pictures))
    return vae.eval()


def encoded(vae: AutoencoderKL, views: Pixels, embeds: Tensor, columns: Sequence[int], folder: Path) -> LatentSet:
    """The latents of the targets and then of the condition views, which stand at these columns."""
    folder.mkdir(parents=True, exist_ok=True)
    moments = posterior_moments(vae, as_unit_tensor(views, torch.device("cpu")))
    write_shard(folder / "one.safetensors", {"balls": ObjectLatents(moments, embeds)})
    white = posterior_moments(vae, torch.ones(1, 4, SIDE, SIDE))
    layout = LatentLayout(len(targets()), AZIMUTHS, 4, LATENT, embeds.shape[1], GEOMETRY)
    write_index(folder, layout, white, {"balls": ObjectRow("one.safetensors", "train", list(columns))})
    return LatentSet.open(folder)


def fit(trainable: Any, steps: int, batch_size: int, folder: Path, optimizer: OptimizerConfig = OPTIMIZER) -> list[Row]:
    """Train to the end, without average, and return the history."""
    loop = LoopConfig(
        batch_size=batch_size,
        samples=steps * batch_size,
        ema_decay=0.0,
        log_every=steps,
        validate_every=steps,
        checkpoint_every=steps,
    )
    checkpoints = Checkpoints(folder, "balls")
    done = train(trainable, loop, optimizer, checkpoints=checkpoints, report=lambda *_: None, stop=lambda: False)
    return done.history


def as_floats(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).float() / 255
