"""The mask-aware VAE (sec. 5.4): Stable Diffusion's AutoencoderKL with the object's mask as fourth channel.

Colours inside are composited on white and lie in [-1, 1]. The mask goes in as [-1, 1] and comes out as a logit.
"""

# B image, C latent channel, H and W image size, h and w latent size

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from models.config import VAEConfig
from models.network.pretrained import align, forget_origin, locate, require_equal

DECODE_BATCH = 8
"""Images decoded at once; bounds memory only."""


def build_mask_vae(config: VAEConfig) -> AutoencoderKL:
    """A VAE with 4 channels in and out; every level but the last halves the image.

    Weights are drawn from torch's generator unless `config.pretrained` names an RGB VAE to extend.
    Raises ValueError when that VAE has another shape than `config` says.
    """
    shape = config.model_dump(exclude={"pretrained"})
    if config.pretrained is not None:
        vae = align(AutoencoderKL.from_pretrained(**locate(config.pretrained)))
        found = dict(vae.config) | {"block_out_channels": tuple(vae.config.block_out_channels)}
        require_equal(shape, found, config.pretrained)
        forget_origin(vae)
        return extend_to_mask(vae)
    num_levels = len(config.block_out_channels)
    return AutoencoderKL(
        in_channels=4,
        out_channels=4,
        down_block_types=["DownEncoderBlock2D"] * num_levels,
        up_block_types=["UpDecoderBlock2D"] * num_levels,
        **shape | {"block_out_channels": list(config.block_out_channels)},
    )


def load_mask_vae(folder: Path) -> AutoencoderKL:
    """The VAE saved in `folder`; it computes the same bits as the one that was saved."""
    return align(AutoencoderKL.from_pretrained(folder))


def extend_to_mask(vae: AutoencoderKL) -> AutoencoderKL:
    """Give an RGB VAE a mask channel, in place; new weights are zero, so latents and colours stay as they were."""
    if vae.config.in_channels != 3:
        raise ValueError(f"the VAE has {vae.config.in_channels} input channels; only an RGB VAE (3) can be extended")
    vae.encoder.conv_in = _widened(vae.encoder.conv_in, inputs=1, outputs=0)
    vae.decoder.conv_out = _widened(vae.decoder.conv_out, inputs=0, outputs=1)
    vae.register_to_config(in_channels=4, out_channels=4)
    return vae


def calibrate_scaling(vae: AutoencoderKL, latents: Tensor) -> None:
    """Register the factor that gives `latents` (unscaled, any shape) unit deviation, as LDM does for a new VAE.

    An extended Stable Diffusion VAE keeps its own 0.18215.
    """
    vae.register_to_config(scaling_factor=1 / latents.float().std().item())


def scale_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """From the VAE's latents to those that are diffused."""
    return latents * vae.config.scaling_factor


def unscale_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """From diffused latents to the VAE's."""
    return latents / vae.config.scaling_factor


def to_vae_input(rgba_B4HW: Tensor) -> Tensor:
    """Straight-alpha RGBA in [0, 1] to colours on white and mask, both in [-1, 1]."""
    rgb, mask = rgba_B4HW[:, :3], rgba_B4HW[:, 3:]
    return 2 * torch.cat([rgb * mask + (1 - mask), mask], dim=1) - 1


def encode_rgba(vae: AutoencoderKL, rgba_B4HW: Tensor, device: torch.device | None = None) -> Tensor:
    """Scaled latents (B, C, h, w) of straight-alpha RGBA in [0, 1]: the posterior's mean.

    device: where to compute, here and below; None: where the VAE lies.
    """
    posterior = vae.encode(to_vae_input(rgba_B4HW).to(device or vae.device, vae.dtype)).latent_dist
    return scale_latents(vae, posterior.mode())


@torch.no_grad()
def posterior_moments(vae: AutoencoderKL, rgba_B4HW: Tensor) -> Tensor:
    """Mean and log variance (B, 2C, h, w) of the posterior of straight-alpha RGBA in [0, 1], unscaled."""
    posterior = vae.encode(to_vae_input(rgba_B4HW)).latent_dist
    return torch.cat([posterior.mean, posterior.logvar], dim=1)


def white_latent(vae: AutoencoderKL, side: int, device: torch.device | None = None) -> Tensor:
    """Scaled latent (C, h, w) of the white image with all-ones mask: what targets have in place of a condition."""
    return encode_rgba(vae, torch.ones(1, 4, side, side), device)[0]


def decode_on_white(
    vae: AutoencoderKL, latents_BChw: Tensor, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Colours on white (B, 3, H, W) and mask (B, 1, H, W), both in [0, 1], of scaled latents."""
    unscaled = unscale_latents(vae, latents_BChw).to(device or vae.device, vae.dtype)
    decoded = torch.cat([vae.decode(part).sample.float() for part in torch.split(unscaled, DECODE_BATCH)])
    return (decoded[:, :3] / 2 + 0.5).clamp(0, 1), decoded[:, 3:].sigmoid()


def decode_rgba(vae: AutoencoderKL, latents_BChw: Tensor, device: torch.device | None = None) -> Tensor:
    """Straight-alpha RGBA (B, 4, H, W) in [0, 1] of scaled latents: the inverse of `encode_rgba`."""
    return to_straight_alpha(*decode_on_white(vae, latents_BChw, device))


def to_straight_alpha(on_white_B3HW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """RGBA that gives `on_white` again on white.

    A colour darker than its mask allows becomes black: on white it then shows as 1 - mask.
    """
    rgb = (on_white_B3HW - (1 - mask_B1HW)) / mask_B1HW.clamp(min=1e-6)
    return torch.cat([rgb.clamp(0, 1), mask_B1HW], dim=1)


def _widened(conv: Any, *, inputs: int, outputs: int) -> nn.Conv2d:
    """`conv` with that many more channels, whose weights are zero."""
    wide: Any = nn.Conv2d(
        conv.in_channels + inputs, conv.out_channels + outputs, conv.kernel_size, conv.stride, conv.padding
    ).to(conv.weight)
    with torch.no_grad():
        wide.weight.zero_()[: conv.out_channels, : conv.in_channels] = conv.weight
        wide.bias.zero_()[: conv.out_channels] = conv.bias
    return wide
