"""The real classes at toy size, with weights everywhere: zero-initialised parts would hide mistakes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.config import NoiseConfig, UNetConfig, VAEConfig
from models.inference.pipeline import MVDiffusionPipeline
from models.network.image_encoder import build_image_encoder, build_image_processor
from models.network.initialization import seeded_weights
from models.network.mask_vae import build_mask_vae
from models.network.multiview_unet import MultiViewUNet, build_unet

GEOMETRY = {"azimuths": 4, "elevations_deg": (0.0, 30.0), "fov_deg": 60.0, "distance": 1.5}
UNET = UNetConfig(
    pretrained=None,
    block_out_channels=(16, 32),
    attention_levels=(True, False),
    layers_per_block=1,
    attention_head_dim=(2, 4),
    cross_attention_dim=24,
    norm_num_groups=8,
    condition_flag=1,
    max_condition_views=3,
    view_embedding=True,
    global_attention=True,
)
VAE = VAEConfig(pretrained=None, block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4)
NOISE = NoiseConfig(
    timesteps=1000,
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="linear",
    zero_terminal_snr=False,
    prediction="v_prediction",
    network="v_prediction",
    min_snr_gamma=None,
)


@dataclass(frozen=True)
class Tower:
    pretrained: str | None = None
    image_size: int = 16
    patch_size: int = 8
    hidden_size: int = 16
    num_hidden_layers: int = 1
    num_attention_heads: int = 2
    projection_dim: int = 24


def fill_zeros(model: nn.Module) -> None:
    """Give every all-zero parameter weight."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)


def toy_unet(*, filled: bool = True, **changes: Any) -> MultiViewUNet:
    with seeded_weights(0):
        config = UNET.model_copy(update=changes)
        unet = build_unet(config, num_targets=8, latent_channels=4, latent_size=8, geometry=GEOMETRY)
        if filled:
            fill_zeros(unet)
    return unet.eval()


def picture(seed: int, side: int = 16) -> Image.Image:
    """Noise with random alpha, RGBA."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 4), dtype=np.uint8))


def toy_pipeline(scheduler: Any) -> MVDiffusionPipeline:
    with seeded_weights(1):
        vae = build_mask_vae(VAE).eval()
    encoder = build_image_encoder(Tower(), seed=2)
    pipeline = MVDiffusionPipeline(toy_unet(), vae, encoder, build_image_processor(16), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def toy_inputs(
    num_objects: int, num_views: int, *, num_conditions: int = 1, side: int = 8, width: int = 24
) -> dict[str, Tensor]:
    """Keywords of MultiViewUNet.forward."""
    rng = torch.Generator().manual_seed(num_objects * 100 + num_views)
    shape = (num_objects, num_views, 4, side, side)
    is_condition = torch.arange(num_views) < num_conditions
    return {
        "noisy_BVCHW": torch.randn(shape, generator=rng),
        "timestep_B": torch.randint(0, 1000, (num_objects,), generator=rng),
        "condition_BVCHW": torch.randn(shape, generator=rng),
        "flag_BV": is_condition.long().expand(num_objects, -1),
        "view_ids_BV": torch.stack([torch.randperm(11, generator=rng)[:num_views] for _ in range(num_objects)]),
        "embeds_BLD": torch.randn(num_objects, num_conditions, width, generator=rng),
    }


def only(inputs: dict[str, Tensor], views: Any) -> dict[str, Tensor]:
    """The inputs with these views, in this order."""
    return {name: value[:, views] if "V" in name else value for name, value in inputs.items()}


def largest_difference(first: Tensor, second: Tensor) -> float:
    assert first.shape == second.shape
    return (first - second).abs().max().item()
