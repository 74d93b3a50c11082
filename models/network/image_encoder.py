"""The CLIP vision tower that tells every view what the condition images show (sec. 4.2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from models.data.images import Picture, as_pil, on_white
from models.network.initialization import seeded_weights
from models.network.pretrained import align, locate, require_equal

UNTRAINED_FACTOR = 3.0
"""Scale of random weights. At CLIP's own 1.0 embeddings of different pictures differ by 5 % of their size (measured),
because the picture hardly reaches the class token; at 3.0 they differ by half."""


class ImageEncoderShape(Protocol):
    """What defines the tower: the section `encode.image_encoder` of the parameters."""

    @property
    def pretrained(self) -> str | None:
        """Folder or hub id of published weights; null for random ones."""
        ...

    @property
    def image_size(self) -> int:
        """Pixels."""
        ...

    @property
    def patch_size(self) -> int:
        """Pixels."""
        ...

    @property
    def hidden_size(self) -> int:
        """Width of the tower."""
        ...

    @property
    def num_hidden_layers(self) -> int:
        """Transformer blocks."""
        ...

    @property
    def num_attention_heads(self) -> int:
        """Per block."""
        ...

    @property
    def projection_dim(self) -> int:
        """Length of an embedding."""
        ...


_SHAPE = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "projection_dim")


def build_image_encoder(shape: ImageEncoderShape, *, seed: int) -> CLIPVisionModelWithProjection:
    """The frozen tower: pretrained, or of random weights that depend on `seed` only.

    Raises ValueError when the pretrained tower has another shape than `shape` says.
    """
    wanted = {key: getattr(shape, key) for key in _SHAPE}
    if shape.pretrained is None:
        with seeded_weights(seed):
            untrained = {"intermediate_size": 4 * shape.hidden_size, "initializer_factor": UNTRAINED_FACTOR}
            encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**untrained, **wanted))
    else:
        encoder = align(CLIPVisionModelWithProjection.from_pretrained(**locate(shape.pretrained)))
        require_equal(wanted, encoder.config.to_dict(), shape.pretrained)
    return encoder.eval().requires_grad_(False)


def load_image_encoder(folder: Path) -> CLIPVisionModelWithProjection:
    """The tower saved in `folder`; it computes the same bits as the one that was saved."""
    return align(CLIPVisionModelWithProjection.from_pretrained(folder))


def build_image_processor(image_size: int) -> CLIPImageProcessorPil:
    """CLIP's preprocessing to squares of `image_size` pixels."""
    return CLIPImageProcessorPil(
        size={"shortest_edge": image_size}, crop_size={"height": image_size, "width": image_size}
    )


@torch.no_grad()
def embed_images(
    encoder: CLIPVisionModelWithProjection,
    processor: CLIPImageProcessorPil,
    images: Sequence[Picture],
    device: torch.device | None = None,
) -> Tensor:
    """(N, projection_dim) embeddings of images composited on white; computed on `device`, or where the tower lies."""
    pixels = processor([on_white(as_pil(image)) for image in images], return_tensors="pt")["pixel_values"]
    embeds: Tensor = encoder(pixels.to(device or encoder.device, encoder.dtype)).image_embeds
    return embeds
