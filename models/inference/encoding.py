"""Encodes the views of an object for the diffusion: latents of the mask-aware VAE and CLIP embeddings (sec. 4.2).

Knows no files but those that a saved network makes.
"""

# Shapes: V view, T target view, K condition view, C latent channel, H and W image size, h and w latent size,
# D embedding width

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from models.data.images import as_unit_tensor
from models.data.latent_index import LatentLayout
from models.data.latents import FEATURE_EXTRACTOR, IMAGE_ENCODER, ObjectLatents
from models.data.pixels import Pixels
from models.network.image_encoder import build_image_processor, embed_images
from models.network.mask_vae import load_mask_vae, posterior_moments


@dataclass(frozen=True)
class ViewEncoder:
    """The frozen networks that turn views into latents and embeddings.

    Args:
        vae: Mask-aware VAE.
        image_encoder: CLIP's vision model with projection.
        feature_extractor: CLIP's preprocessing.
        batch_size: Views that the VAE encodes at once, which bounds the memory.
    """

    vae: AutoencoderKL
    image_encoder: CLIPVisionModelWithProjection
    feature_extractor: CLIPImageProcessorPil
    batch_size: int

    @classmethod
    def load(
        cls,
        vae: Path,
        image_encoder: CLIPVisionModelWithProjection,
        *,
        device: str,
        batch_size: int,
        dtype: torch.dtype = torch.float32,
    ) -> "ViewEncoder":
        """Load the VAE; move it and the image encoder, in place, to a device and to the dtype that they compute in."""
        return cls(
            vae=load_mask_vae(vae).to(device, dtype).eval().requires_grad_(requires_grad=False),
            image_encoder=image_encoder.to(device, dtype),
            feature_extractor=build_image_processor(image_encoder.config.image_size),
            batch_size=batch_size,
        )

    def encode(self, uid: str, targets_THW4: Pixels, conditions_KHW4: Pixels) -> ObjectLatents:
        """Encode all views of an object, straight alpha; only the condition views have embeddings.

        Raises ValueError, with the name of the object, when a latent is not finite in float16.
        """
        pixels_VHW4 = np.concatenate([targets_THW4, conditions_KHW4])
        batches = range(0, len(pixels_VHW4), self.batch_size)
        moments_VChw = torch.cat([self.moments(pixels_VHW4[first : first + self.batch_size]) for first in batches])
        if not moments_VChw.half().isfinite().all():
            raise ValueError(f"{uid} has latents that float16 cannot hold; the VAE is broken: look at its training")
        embeds_KD = embed_images(self.image_encoder, self.feature_extractor, list(conditions_KHW4)).float()
        return ObjectLatents(moments_VChw, embeds_KD)

    def white_moments(self, side: int) -> Tensor:
        """Moments (1, 2C, h, w) of the white image of `side` pixels with the all-ones mask."""
        return self.moments(np.full((1, side, side, 4), 255, dtype=np.uint8))

    def moments(self, pixels_VHW4: Pixels) -> Tensor:
        """Posterior mean and log variance (V, 2C, h, w) of views, unscaled, float32."""
        return posterior_moments(self.vae, as_unit_tensor(pixels_VHW4, self.vae.device)).float()

    def layout(self, white_1Chw: Tensor, geometry: Mapping[str, Any]) -> LatentLayout:
        """What the objects of a set have in common: sizes, and the `geometry` of their target cameras."""
        return LatentLayout(
            num_targets=geometry["azimuths"] * len(geometry["elevations_deg"]),
            num_columns=geometry["azimuths"],
            latent_channels=white_1Chw.shape[1] // 2,
            latent_size=white_1Chw.shape[2],
            embedding_dim=self.image_encoder.config.projection_dim,
            geometry=dict(geometry),
        )


def save_image_encoder(image_encoder: CLIPVisionModelWithProjection, folder: Path) -> None:
    """Save an image encoder and its preprocessing: a model trained on its embeddings must be used with the same ones.

    Args:
        image_encoder: In the dtype of its weights, before `ViewEncoder.load` changes it.
        folder: The folder of the latent set.
    """
    image_encoder.save_pretrained(folder / IMAGE_ENCODER)
    build_image_processor(image_encoder.config.image_size).save_pretrained(folder / FEATURE_EXTRACTOR)
