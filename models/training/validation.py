"""Sampling during training: the views that a network generates of one held-out object, always from the same noise."""

# Shapes: B object, K condition view, T target, C latent channel, H and W latent size, L context token, D context width

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.config import NoiseConfig
from models.data.draws import aligned_views
from models.data.images import composite_on_white, to_arrays
from models.data.latents import LatentSet
from models.data.pixels import Pixels
from models.inference.sampling import sample_views
from models.losses.metrics import mask_iou, psnr, ssim
from models.network.mask_vae import decode_rgba, scale_latents
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import build_scheduler


@dataclass(frozen=True)
class ValidationSampler:
    """Samples all targets of one object from its first condition view and compares them with the true views.

    Both are decoded by the same VAE, so that the VAE's own error does not count.
    """

    vae: AutoencoderKL
    noise: NoiseConfig
    latents: LatentSet
    uid: str
    num_steps: int
    """Sampling steps of UniPC."""
    white_CHW: Tensor
    """Scaled latent of the white image: (C, H, W) on the device of the network."""
    show: Callable[[Sequence[Pixels], Sequence[Pixels]], None]
    """Receives the sampled and the true views, uint8 RGBA (height, width, 4) each."""

    @torch.no_grad()
    def evaluate(self, unet: MultiViewUNet) -> dict[str, float]:
        """Sample the object; return val/psnr (dB) and val/ssim on white and val/mask_iou, means over the views."""
        device, channels = self.white_CHW.device, self.latents.layout.latent_channels
        given = scale_latents(self.vae, self.latents.condition_views(self.uid, [0])[:, :channels])
        sampled = sample_views(
            unet,
            build_scheduler(self.noise, "unipc"),
            condition_latents_BKCHW=given[None].to(device),
            embeds_BLD=self.latents.embeds(self.uid, [0])[None].to(device),
            white_latent_CHW=self.white_CHW,
            target_ids=range(self.latents.layout.num_targets),
            num_steps=self.num_steps,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            device=device,
        )[0]
        predicted, truth = (decode_rgba(self.vae, latents).cpu() for latents in (sampled, self._truth().to(device)))
        self.show(to_arrays(predicted), to_arrays(truth))
        predicted, truth = predicted.float(), truth.float()
        predicted_rgb, truth_rgb = (composite_on_white(rgba[:, :3], rgba[:, 3:]) for rgba in (predicted, truth))
        with torch.autocast("cpu", enabled=False):  # bfloat16 is too coarse for the windows of SSIM
            return {
                "val/psnr": psnr(predicted_rgb, truth_rgb).mean().item(),
                "val/ssim": ssim(predicted_rgb, truth_rgb).mean().item(),
                "val/mask_iou": mask_iou(predicted[:, 3], truth[:, 3]).mean().item(),
            }

    def _truth(self) -> Tensor:
        """Scaled latents (T, C, H, W) of the true targets, column 0 at the azimuth of the condition view."""
        layout = self.latents.layout
        column = self.latents.condition_column(self.uid, 0)
        views = aligned_views(torch.arange(layout.num_targets).numpy(), column, layout.num_columns)
        return scale_latents(self.vae, self.latents.views(self.uid, views)[:, : layout.latent_channels])
