"""The training of the mask-aware VAE (sec. 5.4): pictures to loss and to validation metrics. Knows no files."""

# B image, C latent channel, H and W image size, h and w latent size
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from models.data.draws import Purpose, item_of, stream
from models.data.images import as_unit_tensor, to_arrays
from models.data.latents import sample_posterior
from models.losses.vae_loss import VAELoss
from models.network.mask_vae import decode_on_white, decode_rgba, encode_rgba, posterior_moments, to_vae_input
from models.training.cost import SampleCost, vae_cost
from models.training.trainable import MicroBatchLoss

Pixels = npt.NDArray[np.uint8]


class ImageSource(Protocol):
    """Many RGBA pictures of equal size, straight alpha."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pixels:
        """(H, W, 4)"""
        ...

    def name(self, index: int) -> str:
        """What the picture is, for error messages."""
        ...


@dataclass(frozen=True)
class Pictures:
    """A batch."""

    pixels_BHW4: Pixels
    noise_BChw: Tensor
    """For the posterior sample."""
    step: int
    """Optimizer step, from 0."""


@dataclass(frozen=True)
class VAETraining:
    """Trains a mask-aware VAE; satisfies `models.training.trainable.Trainable`."""

    model: AutoencoderKL
    loss: VAELoss
    source: ImageSource
    validation_B4HW: Tensor
    """Pictures in [0, 1] that validation always uses, on the device."""
    seed: int
    batch_size: int
    micro_batch: int | None = None
    """At most so many pictures at once, to save memory."""
    may_be_sharded: ClassVar[bool] = False
    """The adaptive weight of the discriminator asks for the gradient of one whole layer."""

    @property
    def discriminator(self) -> nn.Module | None:
        """The patch discriminator, if the loss has one."""
        return self.loss.discriminator

    def load(self, sample_ids: Sequence[int]) -> Pictures:
        """Random crops, or whole pictures, and the noise of their posterior samples."""
        pixels = np.stack([self.crop(sample_id) for sample_id in sample_ids])
        side = pixels.shape[1] // downscale_of(self.model)
        shape = (self.model.config.latent_channels, side, side)
        noise = np.stack([stream(self.seed, Purpose.NOISE, n).standard_normal(shape, np.float32) for n in sample_ids])
        step = sample_ids[0] // self.batch_size
        return Pictures(pixels, torch.from_numpy(noise), step)

    def crop(self, number: int) -> Pixels:
        """Training picture `number`: (crop, crop, 4), or whole."""
        picture = self.source[item_of(self.seed, number, len(self.source))]
        crop = self.loss.config.crop
        if crop is None:
            return picture
        rng = stream(self.seed, Purpose.SAMPLE, number)
        top, left = rng.integers(picture.shape[0] - crop + 1), rng.integers(picture.shape[1] - crop + 1)
        return picture[top : top + crop, left : left + crop]

    def micro_batches(self, batch: Pictures) -> Iterator[MicroBatchLoss]:
        """Loss of the VAE and, once it takes part, that of the discriminator on the same decoded pictures."""
        num_images = len(batch.pixels_BHW4)
        size = self.micro_batch or num_images
        for first in range(0, num_images, size):
            rgba_B4HW = as_unit_tensor(batch.pixels_BHW4[first : first + size], self.model.device)
            noise_BChw = batch.noise_BChw[first : first + size].to(self.model.device)
            yield from self._micro_batches(rgba_B4HW, noise_BChw, batch.step, share=len(rgba_B4HW) / num_images)

    def _micro_batches(
        self, rgba_B4HW: Tensor, noise_BChw: Tensor, step: int, *, share: float
    ) -> Iterator[MicroBatchLoss]:
        images = to_vae_input(rgba_B4HW)
        posterior = self.model.encode(images).latent_dist
        decoded = self.model.decode(posterior.mean + posterior.std * noise_BChw).sample
        if self.discriminator is not None:
            self.discriminator.requires_grad_(requires_grad=False)  # the VAE's loss must not train it
        last_layer = self.model.decoder.conv_out.weight
        loss, terms = self.loss.generator(images, decoded, posterior, step=step, last_layer=last_layer)
        metrics = {_METRICS.get(name, name): term * share for name, term in terms.items()}
        yield MicroBatchLoss(loss * share, metrics | {"loss": loss.detach() * share})
        if self.discriminator is not None and self.loss.is_adversarial(step):
            self.discriminator.requires_grad_(requires_grad=True)
            criticism = self.loss.discriminate(images, decoded) * share
            yield MicroBatchLoss(criticism, {"discriminator": criticism})

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        """Names of pictures."""
        return [self.source.name(item_of(self.seed, sample_id, len(self.source))) for sample_id in sample_ids]

    def cost(self, dtype: torch.dtype) -> SampleCost:
        """Of a picture through encoder and decoder; perceptual network and discriminator come on top."""
        side = self.loss.config.crop or self.validation_B4HW.shape[-1]
        return vae_cost(self.model, side, dtype)

    def validate(self) -> dict[str, float]:
        """PSNR on white and IoU of the masks, means over the validation pictures."""
        psnr, iou = reconstruction_quality(self.model, self.validation_B4HW)
        return {"val/psnr": psnr, "val/mask_iou": iou}


_METRICS = {"mask": "mask_bce"}


def downscale_of(vae: AutoencoderKL) -> int:
    """Pixels per latent along a side."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def reconstruction_quality(vae: AutoencoderKL, rgba_B4HW: Tensor) -> tuple[float, float]:
    """Mean over pictures of PSNR (dB) of the colours on white, and of the intersection over union of the masks."""
    decoded, mask = decode_on_white(vae, encode_rgba(vae, rgba_B4HW))
    rgb, alpha = rgba_B4HW[:, :3], rgba_B4HW[:, 3:]
    error = (decoded - (rgb * alpha + 1 - alpha)).square().flatten(1).mean(dim=1).clamp(min=1e-10)
    found, wanted = (mask > 0.5).flatten(1), (alpha > 0.5).flatten(1)
    union = (found | wanted).sum(dim=1)
    iou = torch.where(union > 0, (found & wanted).sum(dim=1) / union.clamp(min=1), 1.0)
    return (-10 * error.log10()).mean().item(), iou.mean().item()


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, rgba_B4HW: Tensor) -> list[Pixels]:
    """Pictures through the VAE and back."""
    return to_arrays(decode_rgba(vae, encode_rgba(vae, rgba_B4HW)))


def draw_latents(vae: AutoencoderKL, rgba_B4HW: Tensor) -> Tensor:
    """One unscaled posterior sample (B, C, h, w) of each picture, always the same."""
    moments = posterior_moments(vae, rgba_B4HW)
    shape = (len(moments), moments.shape[1] // 2, *moments.shape[2:])
    noise = stream(0, Purpose.VALIDATION_NOISE, 0).standard_normal(shape, np.float32)
    return sample_posterior(moments, torch.from_numpy(noise).to(moments.device))
