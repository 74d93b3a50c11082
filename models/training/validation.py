"""Sampling during training: the views that a network generates of held-out objects, always from the same noise."""

# Shapes: B object, K condition view, T target, C latent channel, H and W latent size, L context token, D context width

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from models.config import NoiseConfig
from models.data.draws import aligned_views
from models.data.images import composite_on_white, to_arrays
from models.data.latents import LatentSet
from models.data.pixels import Pixels
from models.inference.sampling import sample_views
from models.losses.azimuth import fit_azimuth
from models.losses.metrics import mask_iou, psnr, ssim
from models.network.mask_vae import decode_rgba, scale_latents
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import SchedulerName, build_scheduler
from models.network.scheduler_names import FAST_SCHEDULER


@dataclass(frozen=True)
class ValidationSampler:
    """Samples all targets of each object from its first condition view and compares them with the true views.

    Both are decoded by the same VAE, so that the VAE's own error does not count.
    """

    vae: AutoencoderKL
    noise: NoiseConfig
    latents: LatentSet
    uids: Sequence[str]
    """The objects; at least one."""
    num_steps: int
    """Sampling steps."""
    white_CHW: Tensor
    """Scaled latent of the white image: (C, H, W) on the device of the network."""
    show: Callable[[Sequence[Pixels], Sequence[Pixels]], None]
    """Receives the sampled and the true views of all objects, uint8 RGBA (height, width, 4) each."""
    scheduler: SchedulerName = FAST_SCHEDULER
    """The sampler."""

    @torch.no_grad()
    def evaluate(self, unet: MultiViewUNet) -> dict[str, float]:
        """Sample the objects, score them and show them.

        Returns:
            Means over the objects of val/psnr (dB) and val/ssim on white and val/mask_iou, each a mean over the views,
            and of val/azimuth_hit_rate and the other scores of `AzimuthFit`; objects that look alike after every turn
            have no hit rate, and where all do there is none.
        """
        scores, drawn, true = [], [], []
        for uid in self.uids:
            predicted, truth = self._sample(unet, uid), self._decode(self._truth(uid))
            drawn += to_arrays(predicted)
            true += to_arrays(truth)
            scores.append(score_sampled(predicted.float(), truth.float(), self.latents.layout.num_columns))
        self.show(drawn, true)
        names = dict.fromkeys(name for row in scores for name in row)
        return {f"val/{name}": mean(row[name] for row in scores if name in row) for name in names}

    def _sample(self, unet: MultiViewUNet, uid: str) -> Tensor:
        """Targets of one object as images (T, 4, height, width)."""
        device, channels = self.white_CHW.device, self.latents.layout.latent_channels
        given = scale_latents(self.vae, self.latents.condition_views(uid, [0])[:, :channels])
        sampled_BTCHW = sample_views(
            unet,
            build_scheduler(self.noise, self.scheduler),
            condition_latents_BKCHW=given[None].to(device),
            embeds_BLD=self.latents.embeds(uid, [0])[None].to(device),
            white_latent_CHW=self.white_CHW,
            target_ids=range(self.latents.layout.num_targets),
            num_steps=self.num_steps,
            guidance_scale=1.0,
            generator=torch.Generator().manual_seed(0),
            device=device,
        )
        return self._decode(sampled_BTCHW[0])

    def _decode(self, latents_TCHW: Tensor) -> Tensor:
        return decode_rgba(self.vae, latents_TCHW.to(self.white_CHW.device)).cpu()

    def _truth(self, uid: str) -> Tensor:
        """Scaled latents (T, C, H, W) of the true targets, column 0 at the azimuth of the condition view."""
        layout = self.latents.layout
        column = self.latents.condition_column(uid, 0)
        views = aligned_views(torch.arange(layout.num_targets).numpy(), column, layout.num_columns)
        return scale_latents(self.vae, self.latents.views(uid, views)[:, : layout.latent_channels])


def score_sampled(predicted_T4HW: Tensor, truth_T4HW: Tensor, num_columns: int) -> dict[str, float]:
    """Score one object's sampled views against the true ones: psnr, ssim, mask_iou and those of `AzimuthFit`.

    Args:
        predicted_T4HW: RGBA in [0, 1], on the processor; elevations outer, azimuths inner.
        truth_T4HW: The true views likewise.
        num_columns: Azimuths of an elevation.
    """
    predicted_rgb, truth_rgb = (composite_on_white(rgba[:, :3], rgba[:, 3:]) for rgba in (predicted_T4HW, truth_T4HW))
    with torch.autocast("cpu", enabled=False):  # bfloat16 is too coarse for the windows of SSIM
        fit = fit_azimuth(predicted_rgb, truth_rgb.reshape(-1, num_columns, *truth_rgb.shape[1:]))
        return {
            "psnr": psnr(predicted_rgb, truth_rgb).mean().item(),
            "ssim": ssim(predicted_rgb, truth_rgb).mean().item(),
            "mask_iou": mask_iou(predicted_T4HW[:, 3], truth_T4HW[:, 3]).mean().item(),
        } | ({} if fit is None else fit.scores())
