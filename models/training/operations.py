"""Operations of the networks that params describe, counted on torch's meta device without weights, data or a GPU.

Counts are 10^12 floating-point operations: a multiplication and an addition are two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from diffusers import AutoencoderKL
from transformers import CLIPVisionModelWithProjection

from models.config import UNetConfig, VAEConfig
from models.network.image_encoder import ImageEncoderShape, build_image_encoder
from models.network.mask_vae import build_mask_vae
from models.network.multiview_unet import MultiViewUNet, build_unet
from models.training.cost import count_parameters, meta_inputs, meta_tflop, unet_tflop, vae_cost

Count = Callable[[MultiViewUNet, int, int], float]
"""Counts an operation of a UNet, given the numbers of condition and target views."""
COUNTED = (2, 3, 4)
"""Numbers of condition views whose counts give those of all larger ones."""


@dataclass(frozen=True)
class NetworkOperations:
    """Counts what one sample, view or object asks of the networks; the same count is made once.

    Args:
        vae: The mask-aware VAE.
        unet: The multi-view UNet. As for the VAE, `pretrained` changes no count and is not looked up.
        side: Side of a view in pixels.
        geometry: The targets' cameras, as `MultiViewUNet` describes them.
    """

    vae: VAEConfig
    unet: UNetConfig
    side: int
    geometry: Mapping[str, Any]
    _counted: dict[tuple[str | int, ...], float] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def num_targets(self) -> int:
        """Target views of an object."""
        return int(self.geometry["azimuths"]) * len(self.geometry["elevations_deg"])

    @property
    def latent_side(self) -> int:
        """Side of a view's latent."""
        return self.side // 2 ** (len(self.vae.block_out_channels) - 1)

    def train_unet(self, conditions: int, targets: int) -> float:
        """Forward and backward pass of one sample of a diffusion training, without what is computed again."""
        return self._with_conditions("train", conditions, targets, unet_tflop)

    def denoise(self, conditions: int, targets: int) -> float:
        """One sampling step of one object, without guidance."""
        return self._with_conditions("denoise", conditions, targets, denoising_tflop)

    def train_vae(self, side: int) -> float:
        """Forward and backward pass of one image of `side` pixels, without perceptual network and discriminator."""
        return self._counted_once(("train_vae", side), lambda: vae_cost(self.meta_vae, side, None).tflop)

    def encode(self) -> float:
        """Encode one view."""
        with torch.device("meta"):
            image = torch.empty(1, self.meta_vae.config.in_channels, self.side, self.side)
        return self._counted_once(("encode",), lambda: forward_tflop(lambda: self.meta_vae.encode(image)))

    def decode(self) -> float:
        """Decode one view."""
        with torch.device("meta"):
            latent = torch.empty(1, self.vae.latent_channels, self.latent_side, self.latent_side)
        return self._counted_once(("decode",), lambda: forward_tflop(lambda: self.meta_vae.decode(latent)))

    def _with_conditions(self, work: str, conditions: int, targets: int, count: Count) -> float:
        """Count; with many condition views, take it from the counts with 2, 3 and 4.

        Attention takes pairs of views, and all else each view by itself: a polynomial of degree two. One condition view
        is none of its points, since attention to a single token needs no scores.
        """
        if conditions > COUNTED[-1]:
            first, second, third = (self._with_conditions(work, few, targets, count) for few in COUNTED)
            steps = conditions - COUNTED[0]
            return first + steps * (second - first) + steps * (steps - 1) / 2 * (third - 2 * second + first)
        return self._counted_once((work, conditions, targets), lambda: count(self.meta_unet, conditions, targets))

    def _counted_once(self, key: tuple[str | int, ...], count: Callable[[], float]) -> float:
        if key not in self._counted:
            self._counted[key] = count()
        return self._counted[key]

    @cached_property
    def unet_parameters(self) -> int:
        """Parameters of the UNet."""
        return count_parameters(self.meta_unet)

    @cached_property
    def vae_parameters(self) -> int:
        """Parameters of the VAE."""
        return count_parameters(self.meta_vae)

    @cached_property
    def meta_unet(self) -> MultiViewUNet:
        """The UNet without weights."""
        config = self.unet.model_copy(update={"pretrained": None, "timestep_map": "none"})
        with torch.device("meta"):
            return build_unet(
                config,
                num_targets=self.num_targets,
                latent_channels=self.vae.latent_channels,
                latent_size=self.latent_side,
                geometry=self.geometry,
            )

    @cached_property
    def meta_vae(self) -> AutoencoderKL:
        """The VAE without weights."""
        with torch.device("meta"):
            return build_mask_vae(self.vae.model_copy(update={"pretrained": None}))


def denoising_tflop(unet: MultiViewUNet, conditions: int, targets: int) -> float:
    """Count one forward pass of a UNet on the meta device with so many condition and target views."""
    inputs = meta_inputs(unet, conditions, conditions + targets, torch.float32)
    return forward_tflop(lambda: unet(**inputs))


def embedding_tflop(shape: ImageEncoderShape) -> float:
    """Count the embedding of one image by an image encoder, whose `pretrained` must be None."""
    with torch.device("meta"):
        encoder: CLIPVisionModelWithProjection = build_image_encoder(shape, seed=0)
        image = torch.empty(1, 3, shape.image_size, shape.image_size)
    return forward_tflop(lambda: encoder(pixel_values=image))


def forward_tflop(work: Callable[[], object]) -> float:
    """Count what runs on meta tensors without gradients."""
    with torch.no_grad():
        return meta_tflop(work)
