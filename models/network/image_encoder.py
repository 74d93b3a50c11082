"""The CLIP image encoder whose embeddings of the condition images all views attend to (sec. 4.2)."""

# Shapes: K image, D embedding width, H and W input size

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from models.data.images import as_rgba, on_white
from models.data.pixels import ImageInput
from models.network.initialization import seeded_weights
from models.network.pretrained import align, load_published, require_equal

UNTRAINED_FACTOR = 3.0
"""`initializer_factor` of random weights. At CLIP's own 1.0 the embeddings of different images differ by 5 % of their
length (measured), because the image hardly reaches the class token; at 3.0 they differ by half."""


class ImageEncoderShape(Protocol):
    """The architecture of the encoder: the section `encode.image_encoder` of params.yaml."""

    @property
    def pretrained(self) -> str | None:
        """Folder or hub id of published weights; None for random ones."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the input in pixels."""
        ...

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the transformer."""
        ...

    @property
    def num_hidden_layers(self) -> int:
        """Number of transformer blocks."""
        ...

    @property
    def num_attention_heads(self) -> int:
        """Attention heads per block."""
        ...

    @property
    def projection_dim(self) -> int:
        """Length of an embedding."""
        ...


_SHAPE = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "projection_dim")


def build_image_encoder(shape: ImageEncoderShape, *, seed: int) -> CLIPVisionModelWithProjection:
    """Build the frozen encoder in evaluation mode, pretrained or with random weights that depend on `seed` only.

    Raises:
        ValueError: The pretrained encoder has another architecture than `shape` says.
    """
    wanted = {key: getattr(shape, key) for key in _SHAPE}
    if shape.pretrained is None:
        with seeded_weights(seed):
            untrained = {"intermediate_size": 4 * shape.hidden_size, "initializer_factor": UNTRAINED_FACTOR}
            encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**untrained, **wanted))
    else:
        encoder = align(
            load_published(CLIPVisionModelWithProjection.from_pretrained, shape.pretrained, use_safetensors=True)
        )
        require_equal(wanted, encoder.config.to_dict(), shape.pretrained)
    return encoder.eval().requires_grad_(False)


def load_image_encoder(folder: Path) -> CLIPVisionModelWithProjection:
    """The tower saved in `folder`; it computes the same bits as the one that was saved."""
    return align(CLIPVisionModelWithProjection.from_pretrained(folder, use_safetensors=True))


def build_image_processor(image_size: int) -> CLIPImageProcessorPil:
    """CLIP's preprocessing: resize, centre crop to `image_size` pixels, normalize."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}
    )


def embed_images(
    encoder: CLIPVisionModelWithProjection,
    processor: CLIPImageProcessorPil,
    images: Sequence[ImageInput],
    device: torch.device | None = None,
) -> Tensor:
    """Embed images, composited on white.

    Args:
        encoder: From `build_image_encoder`.
        processor: From `build_image_processor`.
        images: RGBA, whatever its alpha, or anything that `models.data.images.as_rgba` converts.
        device: Where to compute; None: the encoder's device.

    Returns:
        (K, D) projected embeddings.
    """
    return embed_pixels(encoder, preprocess_images(processor, images), device)


def preprocess_images(processor: CLIPImageProcessorPil, images: Sequence[ImageInput]) -> Tensor:
    """Composite images, which `embed_images` describes, on white and preprocess them: (K, 3, H, W), float32."""
    pixels_K3HW: Tensor = processor([on_white(_rgba(image)) for image in images], return_tensors="pt")["pixel_values"]
    return pixels_K3HW


@torch.no_grad()
def embed_pixels(
    encoder: CLIPVisionModelWithProjection, pixels_K3HW: Tensor, device: torch.device | None = None
) -> Tensor:
    """Embed preprocessed images, on the encoder's device where `device` is None; returns (K, D)."""
    embeds: Tensor = encoder(pixels_K3HW.to(device or encoder.device, encoder.dtype)).image_embeds
    return embeds


def _rgba(image: ImageInput) -> Image.Image:
    """RGBA as it is: the views of a data set were made so, and are no photos whose alpha may be meant otherwise."""
    pil = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return pil if pil.mode == "RGBA" else as_rgba(pil)
