"""What a network in training draws of one object, always with the same noise, so that one sees it learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.config import NoiseConfig
from models.data.draws import aligned_views
from models.data.images import to_arrays
from models.data.latents import LatentSet
from models.inference.sampling import sample_views
from models.losses.metrics import mask_iou, on_white, psnr, ssim
from models.network.mask_vae import decode_rgba, scale_latents
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import scheduler
from models.training.vae import Pixels


@dataclass(frozen=True)
class ValidationViews:
    """Draws all targets of an object from its first condition view and compares them with the true ones.

    Both go through the same VAE, so that its own error does not count.
    """

    vae: AutoencoderKL
    noise: NoiseConfig
    latents: LatentSet
    uid: str
    num_steps: int
    """Of UniPC."""
    white_CHW: Tensor
    """Scaled latent of the white image."""
    show: Callable[[Sequence[Pixels], Sequence[Pixels]], None]
    """Takes the drawn and the true views, each (H, W, 4)."""

    @torch.no_grad()
    def draw(self, unet: MultiViewUNet) -> dict[str, float]:
        """PSNR (dB) and SSIM on white and IoU of the masks, means over the views."""
        device, channels = self.white_CHW.device, self.latents.layout.latent_channels
        given = scale_latents(self.vae, self.latents.condition_views(self.uid, [0])[:, :channels])
        drawn = sample_views(
            unet,
            scheduler(self.noise, "unipc"),
            condition_latents_BKCHW=given[None].to(device),
            embeds_BLD=self.latents.embeds(self.uid, [0])[None].to(device),
            white_latent=self.white_CHW,
            target_ids=range(self.latents.layout.num_targets),
            num_steps=self.num_steps,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            device=device,
        )[0]
        found, wanted = (decode_rgba(self.vae, latents).cpu() for latents in (drawn, self._truth().to(device)))
        self.show(to_arrays(found), to_arrays(wanted))
        found, wanted = found.float().permute(0, 2, 3, 1), wanted.float().permute(0, 2, 3, 1)
        with torch.autocast("cpu", enabled=False):  # the windows of SSIM are no matter for bfloat16
            return {
                "val/psnr": psnr(on_white(found), on_white(wanted)).mean().item(),
                "val/ssim": ssim(on_white(found), on_white(wanted)).mean().item(),
                "val/mask_iou": mask_iou(found[..., 3], wanted[..., 3]).mean().item(),
            }

    def _truth(self) -> Tensor:
        """Scaled latents of the targets, column 0 at the condition's azimuth."""
        layout = self.latents.layout
        column = self.latents.condition_column(self.uid, 0)
        views = aligned_views(torch.arange(layout.num_targets).numpy(), column, layout.num_columns)
        return scale_latents(self.vae, self.latents.views(self.uid, views)[:, : layout.latent_channels])
