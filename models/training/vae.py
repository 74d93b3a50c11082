"""Trains the mask-aware VAE (sec. 5.4): from images to the loss and to validation metrics. Knows no files."""

# Shapes: B image, C latent channel, H and W image size, h and w latent size

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn

from models.data.draws import Stream, clock_of, item_of, rng_of
from models.data.images import as_unit_tensor, composite_on_white, to_arrays
from models.data.latents import sample_posterior
from models.data.pixels import Pixels
from models.losses.metrics import mask_iou, psnr
from models.losses.vae_loss import VAELoss, adaptive_weight
from models.network.mask_vae import (
    decode_on_white,
    decode_rgba,
    encode_rgba,
    posterior_moments,
    posterior_of,
    to_vae_input,
)
from models.training.cost import SampleCost, count_parameters, vae_cost
from models.training.distributed import SINGLE, Ranks
from models.training.emulated_autocast import Device
from models.training.trainable import MicroBatchLoss


class ImageSource(Protocol):
    """A sequence of RGBA images of equal size, straight alpha."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Pixels:
        """Read one image (H, W, 4)."""
        ...

    def name(self, index: int) -> str:
        """Name of an image, for error messages."""
        ...


@dataclass(frozen=True)
class ImageBatch:
    """A batch of training images with the noise of their posterior samples."""

    pixels_BHW4: Pixels
    noise_BChw: Tensor
    """Standard normal."""
    step: int
    """Optimizer step, from 0."""


@dataclass(frozen=True)
class VAETraining:
    """Trains a mask-aware VAE; satisfies `models.training.trainable.Trainable`."""

    model: AutoencoderKL
    loss: VAELoss
    source: ImageSource
    validation_B4HW: Tensor
    """RGBA in [0, 1] that validation always uses, on the device of the model."""
    seed: int
    """Seed of the random draws (models.data.draws)."""
    batch_size: int
    """Global batch size, which tells the optimizer step of a sample id."""
    micro_batch: int | None = None
    """Most images per forward pass, to save memory; None: the whole batch."""
    ranks: Ranks = SINGLE
    """The processes that share each batch, over all of which the adversarial loss is balanced."""
    may_be_sharded: ClassVar[bool] = False
    """The adaptive weight of the discriminator needs the gradient of one unsharded layer."""

    @property
    def discriminator(self) -> nn.Module | None:
        """The patch discriminator, if the loss has one."""
        return self.loss.discriminator

    @property
    def frozen_parameters(self) -> int:
        """Parameters of the network of the perceptual loss, if there is one."""
        perceptual = self.loss.perceptual
        return 0 if perceptual is None else count_parameters(perceptual)

    def load(self, sample_ids: Sequence[int]) -> ImageBatch:
        """Read images or random crops of them, and draw the noise of their posterior samples."""
        pixels = np.stack([self.crop(sample_id) for sample_id in sample_ids])
        side = pixels.shape[1] // downscale_of(self.model)
        shape = (self.model.config.latent_channels, side, side)
        noise = np.stack([rng_of(self.seed, Stream.NOISE, n).standard_normal(shape, np.float32) for n in sample_ids])
        step = clock_of(sample_ids[0]) // self.batch_size
        return ImageBatch(pixels, torch.from_numpy(noise), step)

    def sample_tflop(self, sample_ids: Sequence[int]) -> Sequence[float]:
        """10^12 operations of each image through encoder and decoder, forward and backward: the same for all."""
        return [self._tflop] * len(sample_ids)

    @cached_property
    def _tflop(self) -> float:
        return self.cost(None).tflop

    def crop(self, sample_id: int) -> Pixels:
        """One training image: a random crop (crop, crop, 4), or all of it without a crop size."""
        image = self.source[item_of(self.seed, sample_id, len(self.source))]
        crop = self.loss.config.crop
        if crop is None:
            return image
        rng = rng_of(self.seed, Stream.SAMPLE, sample_id)
        top, left = rng.integers(image.shape[0] - crop + 1), rng.integers(image.shape[1] - crop + 1)
        return image[top : top + crop, left : left + crop]

    def micro_batches(self, batch: ImageBatch) -> Iterator[MicroBatchLoss]:
        """Yield the VAE's loss and, once it has joined, the discriminator's on the same decoded images."""
        weight = self._adaptive_weight(batch) if self.loss.is_adversarial(batch.step) else None
        for part in self._parts(batch):
            images, posterior, decoded = self._decode(part)
            if self.discriminator is not None:
                self.discriminator.requires_grad_(requires_grad=False)  # the VAE's loss must not train it
            loss, terms = self.loss.generator(images, decoded, posterior, adaptive_weight=weight)
            share = len(images) / len(batch.pixels_BHW4)
            metrics = {_METRICS.get(name, name): term * share for name, term in terms.items()}
            yield MicroBatchLoss(loss * share, metrics | {"loss": loss.detach() * share})
            if self.discriminator is not None and weight is not None:
                self.discriminator.requires_grad_(requires_grad=True)
                discriminator_loss = self.loss.discriminate(images, decoded) * share
                yield MicroBatchLoss(discriminator_loss, {"discriminator": discriminator_loss})

    def _parts(self, batch: ImageBatch) -> Iterator[ImageBatch]:
        """Split a batch into micro-batches."""
        num_images = len(batch.pixels_BHW4)
        size = self.micro_batch or num_images
        for first in range(0, num_images, size):
            chosen = slice(first, first + size)
            yield ImageBatch(batch.pixels_BHW4[chosen], batch.noise_BChw[chosen], batch.step)

    def _decode(self, part: ImageBatch) -> tuple[Tensor, DiagonalGaussianDistribution, Tensor]:
        """Return the VAE's input (B, 4, H, W), its posterior, and the decoder's output for a sample of that."""
        images_B4HW = to_vae_input(as_unit_tensor(part.pixels_BHW4, self.model.device))
        posterior = posterior_of(self.model, images_B4HW)
        latents_BChw = posterior.mean + posterior.std * part.noise_BChw.to(self.model.device)
        return images_B4HW, posterior, self.model.decode(latents_BChw).sample

    def _adaptive_weight(self, batch: ImageBatch) -> Tensor:
        """Weight of the adversarial loss, from the gradients of the whole batch: of all micro-batches of all ranks.

        It takes a forward pass of its own, which keeps nothing but the input of the last layer. Collective.
        """
        assert self.discriminator is not None
        last_layer, height_width = self.model.decoder.conv_out.weight, batch.pixels_BHW4.shape[1:3]
        gradients_2N = last_layer.new_zeros(2, last_layer.numel())
        with frozen(self.discriminator, self.model, but=last_layer):
            for part in self._parts(batch):
                images, _, decoded = self._decode(part)
                share = self.ranks.share(len(images), self.batch_size)
                gradients_2N += share * self.loss.gradients_at(last_layer, images, decoded)
        self.ranks.all_reduce_sum([gradients_2N])
        return adaptive_weight(gradients_2N, 3 * height_width[0] * height_width[1])

    def names(self, sample_ids: Sequence[int]) -> list[str]:
        """Names of the images of samples."""
        return [self.source.name(item_of(self.seed, sample_id, len(self.source))) for sample_id in sample_ids]

    def cost(self, autocast: Device | None) -> SampleCost:
        """Cost of one image through encoder and decoder, without perceptual network and discriminator."""
        side = self.loss.config.crop or self.validation_B4HW.shape[-1]
        return vae_cost(self.model, side, autocast)

    def validate(self) -> dict[str, float]:
        """PSNR (dB) on white and IoU of the masks, means over the validation images."""
        mean_psnr, mean_iou = reconstruction_quality(self.model, self.validation_B4HW)
        return {"val/psnr": mean_psnr, "val/mask_iou": mean_iou}


_METRICS = {"mask": "mask_bce"}


@contextmanager
def frozen(*modules: nn.Module, but: nn.Parameter) -> Iterator[None]:
    """Let no weight of some modules but one require a gradient meanwhile.

    Unlike under `no_grad`, autocast then keeps no copy of a weight that the next forward pass could not train.
    """
    weights = [weight for module in modules for weight in module.parameters() if weight is not but]
    learning = [weight for weight in weights if weight.requires_grad]
    try:
        for weight in learning:
            weight.requires_grad_(False)
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def downscale_of(vae: AutoencoderKL) -> int:
    """Downsampling factor of the VAE along a side, 8 for Stable Diffusion's."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def reconstruction_quality(vae: AutoencoderKL, rgba_B4HW: Tensor) -> tuple[float, float]:
    """Mean PSNR (dB) of the colours on white and mean IoU of the masks, of images encoded and decoded again."""
    decoded, mask = decode_on_white(vae, encode_rgba(vae, rgba_B4HW))
    truth = composite_on_white(rgba_B4HW[:, :3], rgba_B4HW[:, 3:])
    return psnr(decoded, truth).mean().item(), mask_iou(mask[:, 0], rgba_B4HW[:, 3]).mean().item()


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, rgba_B4HW: Tensor) -> list[Pixels]:
    """Encode and decode images; returns N arrays (H, W, 4)."""
    return to_arrays(decode_rgba(vae, encode_rgba(vae, rgba_B4HW)))


def sample_latents(vae: AutoencoderKL, rgba_B4HW: Tensor) -> Tensor:
    """One unscaled posterior sample (B, C, h, w) of each image, with fixed noise."""
    moments = posterior_moments(vae, rgba_B4HW)
    shape = (len(moments), moments.shape[1] // 2, *moments.shape[2:])
    noise = rng_of(0, Stream.VALIDATION_NOISE, 0).standard_normal(shape, np.float32)
    return sample_posterior(moments, torch.from_numpy(noise).to(moments.device))
