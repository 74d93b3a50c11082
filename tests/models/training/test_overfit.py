"""The whole method on one object: what it has seen, it must be able to draw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image

from models.data.latents import LatentSet
from models.inference.pipeline import MVDiffusionPipeline
from models.losses.metrics import mask_iou, on_white, psnr
from models.network.image_encoder import build_image_encoder, build_image_processor, embed_images
from models.network.initialization import seeded_weights
from models.network.mask_vae import scale_latents
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.network.noise import Diffusion, build_scheduler
from models.training.diffusion import DiffusionTraining
from tests.models.ball_models import GEOMETRY, LATENT, SIDE, as_floats, encoded, fit, trained_vae
from tests.models.balls import balls, condition, targets
from tests.models.toy_latents import make_reader
from tests.models.toy_models import NOISE, UNET, Tower


@pytest.mark.nightly
@pytest.mark.slow(seconds=90)
def test_model_trained_on_one_object_draws_its_32_views(tmp_path: Path) -> None:
    given, truth = balls(condition(), SIDE), np.stack([balls(camera, SIDE) for camera in targets()])
    views = np.concatenate([truth, given[None]])
    vae = trained_vae(views, tmp_path)
    encoder, processor = build_image_encoder(Tower(), seed=0), build_image_processor(Tower.image_size)
    latents = encoded(vae, views, embed_images(encoder, processor, [given]), [0], tmp_path / "latents")
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
