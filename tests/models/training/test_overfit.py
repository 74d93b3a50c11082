"""The whole method on one object: what it has seen, it must be able to draw."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from models.config import LoopConfig, OptimizerConfig, VAEConfig
from models.data.images import as_unit_tensor
from models.data.latents import LatentLayout, LatentSet, ObjectLatents, ObjectRow, write_index, write_shard
from models.data.pixels import Pixels
from models.inference.pipeline import MVDiffusionPipeline
from models.losses.metrics import mask_iou, on_white, psnr
from models.losses.vae_loss import VAELoss
from models.network.image_encoder import build_image_encoder, build_image_processor, embed_images
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae, calibrate_scaling, posterior_moments, scale_latents
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.network.noise import Diffusion, build_scheduler
from models.training.checkpoints import Checkpoints
from models.training.diffusion import DiffusionTraining
from models.training.loop import train
from models.training.vae import VAETraining, sample_latents
from tests.models.balls import AZIMUTHS, ELEVATIONS, balls, condition, targets
from tests.models.toy_latents import make_reader
from tests.models.toy_models import NOISE, UNET, Tower
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


@pytest.mark.nightly
@pytest.mark.slow(seconds=90)
def test_model_trained_on_one_object_draws_its_32_views(tmp_path: Path) -> None:
    given, truth = balls(condition(), SIDE), np.stack([balls(camera, SIDE) for camera in targets()])
    views = np.concatenate([truth, given[None]])
    vae = trained_vae(views, tmp_path)
    encoder, processor = build_image_encoder(Tower(), seed=0), build_image_processor(Tower.image_size)
    latents = encoded(vae, views, embed_images(encoder, processor, [given]), tmp_path / "latents")
    unet = trained_unet(latents, vae, tmp_path)
    pipeline = MVDiffusionPipeline(unet, vae, encoder, processor, build_scheduler(NOISE, "ddim"))
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(
        [Image.fromarray(given)], num_inference_steps=20, generator=torch.Generator().manual_seed(0), output_type="np"
    )
    found, wanted = torch.from_numpy(drawn.images), as_floats(truth)
    quality, overlap = psnr(on_white(found), on_white(wanted)), mask_iou(found[..., 3], wanted[..., 3])
    assert quality.mean() > 25
    assert quality.min() > 20
    assert overlap.mean() > 0.95


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


def encoded(vae: AutoencoderKL, views: Pixels, embeds: torch.Tensor, folder: Path) -> LatentSet:
    folder.mkdir()
    device = torch.device("cpu")
    moments = posterior_moments(vae, as_unit_tensor(views, device))
    write_shard(folder / "one.safetensors", {"balls": ObjectLatents(moments, embeds)})
    white = posterior_moments(vae, torch.ones(1, 4, SIDE, SIDE))
    layout = LatentLayout(len(targets()), AZIMUTHS, 4, LATENT, embeds.shape[1], GEOMETRY)
    write_index(folder, layout, white, {"balls": ObjectRow("one.safetensors", "train", [0])})
    return LatentSet.open(folder)


def trained_unet(latents: LatentSet, vae: AutoencoderKL, folder: Path) -> MultiViewUNet:
    shape = {"block_out_channels": (32, 64), "attention_levels": (True, True), "attention_head_dim": (1, 2)}
    config = UNET.model_copy(update=shape | {"max_condition_views": 1})
    with seeded_weights(0):
        unet = build_unet(config, num_targets=32, latent_channels=4, latent_size=LATENT, geometry=GEOMETRY)
    single: dict[str, Any] = {"num_items": 1, "num_conditions": 1, "multi_condition_share": 0.0}
    reader = make_reader(latents, vae.config.scaling_factor, **single)
    white = scale_latents(vae, latents.white()[0, :4])
    fit(DiffusionTraining(unet, Diffusion(NOISE), reader, reader, white), 500, 4, folder / "unet")
    return unet.eval()


def fit(trainable: Any, steps: int, batch_size: int, folder: Path) -> None:
    loop = LoopConfig(
        batch_size=batch_size,
        samples=steps * batch_size,
        ema_decay=0.0,
        log_every=steps,
        validate_every=steps,
        checkpoint_every=steps,
    )
    train(
        trainable,
        loop,
        OPTIMIZER,
        checkpoints=Checkpoints(folder, "overfit"),
        report=lambda *_: None,
        stop=lambda: False,
    )


def as_floats(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).float() / 255
