"""The mask-aware VAE (sec. 5.4): Stable Diffusion's AutoencoderKL with the object's mask as fourth channel.

The network sees colours composited on white, in [-1, 1]. The mask goes in as [-1, 1] and comes out as a logit. A VAE
without mask channel, the ablation, sees the same colours, and its masks are read from those that it decodes.
"""

# Shapes: B image, C latent channel, H and W image size, h and w latent size

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn

from models.config import VAEConfig
from models.data.images import composite_on_white
from models.network.pretrained import align, forget_origin, load_published, require_equal

DECODE_BATCH = 8
"""Images decoded at once, which bounds the memory."""
SURELY_OBJECT = 0.9
"""Without a mask channel a pixel is all object where its darkest colour is at most this, and background at 1, white."""


def build_mask_vae(config: VAEConfig) -> AutoencoderKL:
    """Build the mask-aware VAE: 4 channels, or 3 without `mask_channel`; every level but the last halves the image.

    Args:
        config: The architecture. With `pretrained` an RGB VAE is loaded and extended; without it weights are random,
            from torch's global generator (models.network.initialization.seeded_weights).

    Returns:
        diffusers' AutoencoderKL.

    Raises:
        ValueError: The pretrained VAE has another architecture than `config` says, or is no RGB VAE.
    """
    shape = config.model_dump(exclude={"pretrained", "mask_channel"})
    if config.pretrained is not None:
        vae = align(load_published(AutoencoderKL.from_pretrained, config.pretrained, use_safetensors=True))
        found = dict(vae.config) | {"block_out_channels": tuple(vae.config.block_out_channels)}
        require_equal(shape, found, config.pretrained)
        forget_origin(vae)
        return extend_to_mask(vae) if config.mask_channel else require_rgb(vae)
    num_levels = len(config.block_out_channels)
    return AutoencoderKL(
        in_channels=config.image_channels,
        out_channels=config.image_channels,
        down_block_types=["DownEncoderBlock2D"] * num_levels,
        up_block_types=["UpDecoderBlock2D"] * num_levels,
        **shape | {"block_out_channels": list(config.block_out_channels)},
    )


def load_mask_vae(folder: Path) -> AutoencoderKL:
    """The VAE saved in `folder`; it computes the same bits as the one that was saved."""
    return align(AutoencoderKL.from_pretrained(folder, use_safetensors=True))


def extend_to_mask(vae: AutoencoderKL) -> AutoencoderKL:
    """Add a mask channel to an RGB VAE, in place; new weights are zero, so latents and colours stay the same.

    Raises:
        ValueError: The VAE does not have 3 input channels.
    """
    require_rgb(vae)
    vae.encoder.conv_in = _with_more_channels(vae.encoder.conv_in, inputs=1, outputs=0)
    vae.decoder.conv_out = _with_more_channels(vae.decoder.conv_out, inputs=0, outputs=1)
    vae.register_to_config(in_channels=4, out_channels=4)
    return vae


def require_rgb(vae: AutoencoderKL) -> AutoencoderKL:
    """Return the VAE; raises ValueError when it does not have 3 input channels."""
    if vae.config.in_channels != 3:
        raise ValueError(f"the VAE has {vae.config.in_channels} input channels; name the weights of an RGB VAE, with 3")
    return vae


def calibrate_scaling(vae: AutoencoderKL, latents: Tensor) -> None:
    """Set the VAE's scaling factor so that `latents` get unit standard deviation, as LDM does for a new VAE.

    An extended Stable Diffusion VAE keeps its own 0.18215.

    Args:
        vae: Its config is changed in place.
        latents: Unscaled latents of typical images, of any shape.
    """
    vae.register_to_config(scaling_factor=1 / latents.float().std().item())


def scale_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Multiply the VAE's latents by its scaling factor; scaled latents are what the diffusion works on."""
    return latents * vae.config.scaling_factor


def unscale_latents(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Divide scaled latents by the scaling factor, which gives what the VAE decodes."""
    return latents / vae.config.scaling_factor


def to_vae_input(rgba_B4HW: Tensor) -> Tensor:
    """Convert straight-alpha RGBA in [0, 1] to colours on white and mask, (B, 4, H, W) in [-1, 1]."""
    rgb, mask = rgba_B4HW[:, :3], rgba_B4HW[:, 3:]
    return 2 * torch.cat([composite_on_white(rgb, mask), mask], dim=1) - 1


def posterior_of(vae: AutoencoderKL, images_B4HW: Tensor) -> DiagonalGaussianDistribution:
    """Encode what `to_vae_input` gives, of which a VAE without mask channel is shown the colours."""
    posterior: DiagonalGaussianDistribution = vae.encode(images_B4HW[:, : vae.config.in_channels]).latent_dist
    return posterior


def encode_rgba(vae: AutoencoderKL, rgba_B4HW: Tensor, device: torch.device | None = None) -> Tensor:
    """Encode images to the mean of the posterior.

    Args:
        vae: A mask-aware VAE.
        rgba_B4HW: Straight-alpha RGBA in [0, 1]; H and W are multiples of the downsampling factor.
        device: Where to compute; None: the VAE's device.

    Returns:
        (B, C, h, w) scaled latents.
    """
    posterior = posterior_of(vae, to_vae_input(rgba_B4HW).to(device or vae.device, vae.dtype))
    return scale_latents(vae, posterior.mode())


@torch.no_grad()
def posterior_moments(vae: AutoencoderKL, rgba_B4HW: Tensor) -> Tensor:
    """Mean and log variance (B, 2C, h, w) of the posterior of straight-alpha RGBA in [0, 1], unscaled."""
    posterior = posterior_of(vae, to_vae_input(rgba_B4HW).to(vae.dtype))
    return torch.cat([posterior.mean, posterior.logvar], dim=1)


def white_latent(vae: AutoencoderKL, side: int, device: torch.device | None = None) -> Tensor:
    """Encode the white image of `side` pixels with all-ones mask, which conditions targets (sec. 4.2), to (C, h, w)."""
    return encode_rgba(vae, torch.ones(1, 4, side, side), device)[0]


def decode_on_white(
    vae: AutoencoderKL, latents_BChw: Tensor, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Decode scaled latents to colours on white (B, 3, H, W) and mask (B, 1, H, W), both float32 in [0, 1].

    Args:
        vae: A mask-aware VAE.
        latents_BChw: Scaled latents.
        device: Where to compute; None: the VAE's device.
    """
    unscaled = unscale_latents(vae, latents_BChw).to(device or vae.device, vae.dtype)
    decoded = torch.cat([vae.decode(part).sample.float() for part in torch.split(unscaled, DECODE_BATCH)])
    rgb = (decoded[:, :3] / 2 + 0.5).clamp(0, 1)
    return rgb, decoded[:, 3:].sigmoid() if decoded.shape[1] > 3 else mask_of_colours(rgb)


def mask_of_colours(on_white_B3HW: Tensor) -> Tensor:
    """Read the mask (B, 1, H, W) from colours on white: 0 where all are 1, and 1 where one is at most `SURELY_OBJECT`.

    Half a pixel belongs to the object where its darkest colour is 0.95. Parts of an object that are white are missed.
    """
    darkest_B1HW = on_white_B3HW.amin(dim=1, keepdim=True)
    return ((1 - darkest_B1HW) / (1 - SURELY_OBJECT)).clamp(0, 1)


def decode_rgba(vae: AutoencoderKL, latents_BChw: Tensor, device: torch.device | None = None) -> Tensor:
    """Decode scaled latents to straight-alpha RGBA (B, 4, H, W) float32 in [0, 1]; arguments as `decode_on_white`."""
    return to_straight_alpha(*decode_on_white(vae, latents_BChw, device))


def to_straight_alpha(on_white_B3HW: Tensor, mask_B1HW: Tensor) -> Tensor:
    """Undo the compositing on white: RGBA (B, 4, H, W) that shows `on_white` when it is composited again.

    A colour darker than 1 - mask, which no straight-alpha colour gives, becomes black.
    """
    rgb = (on_white_B3HW - (1 - mask_B1HW)) / mask_B1HW.clamp(min=1e-6)
    return torch.cat([rgb.clamp(0, 1), mask_B1HW], dim=1)


def _with_more_channels(conv: Any, *, inputs: int, outputs: int) -> nn.Conv2d:
    """Copy a convolution and add input and output channels whose weights are zero."""
    wide: Any = nn.Conv2d(
        conv.in_channels + inputs, conv.out_channels + outputs, conv.kernel_size, conv.stride, conv.padding
    ).to(conv.weight)
    with torch.no_grad():
        wide.weight.zero_()[: conv.out_channels, : conv.in_channels] = conv.weight
        wide.bias.zero_()[: conv.out_channels] = conv.bias
    return wide
