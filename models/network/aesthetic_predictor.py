"""LAION's aesthetic predictor: how much people like an image, from its CLIP embedding through five linear layers.

After christophschuhmann/improved-aesthetic-predictor (Apache-2.0) at 3ade56d, simple_inference.py, whose weights
`sac+logos+ava1-l14-linearMSE.pth` are for the image embeddings of OpenAI's CLIP ViT-L/14. Knows no files of objects.
"""

# Shapes: K image, D embedding width, H and W input size

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

from models.data.weight_files import read_tensors
from models.network.image_encoder import build_image_processor, embed_pixels, preprocess_images
from models.network.pretrained import align, load_published, weights_sha256

EMBEDDING_DIM = 768
"""Length of an image embedding of CLIP ViT-L/14."""
_COMPUTED_BY = ("hidden_act", "image_size", "layer_norm_eps", "num_attention_heads", "patch_size")
"""What an encoder computes by beside its weights."""


class AestheticHead(nn.Module):
    """The layers from an image's embedding to its score; there are no activations between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(EMBEDDING_DIM, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, embeds_KD: Tensor) -> Tensor:
        """Score embeddings, which are divided by their lengths first.

        Args:
            embeds_KD: Projected image embeddings (K, 768).

        Returns:
            (K,) scores, for real images about 1 to 10.
        """
        scores_K1: Tensor = self.layers(nn.functional.normalize(embeds_KD, dim=-1))
        return scores_K1.squeeze(-1)


def load_aesthetic_head(path: Path) -> AestheticHead:
    """Load the head, frozen and in evaluation mode.

    Args:
        path: The published .pth file, or the same tensors as .safetensors.

    Raises:
        ValueError: The file lacks a layer, has another one, or one has another shape.
    """
    head, found = AestheticHead(), read_tensors(path)
    wanted = head.state_dict()
    for name in sorted(wanted.keys() | found.keys()):
        shapes = [tuple(state[name].shape) if name in state else None for state in (found, wanted)]
        if shapes[0] != shapes[1]:
            has, needs = (f"has {name} {shape}" if shape else f"has no {name}" for shape in shapes)
            raise ValueError(
                f"{path} {has} where the head of LAION's aesthetic predictor {needs}; "
                "give sac+logos+ava1-l14-linearMSE.pth or a file of the same layers"
            )
    head.load_state_dict(found)
    return head.float().eval().requires_grad_(requires_grad=False)


@dataclass(frozen=True)
class AestheticPredictor:
    """CLIP's image encoder with its preprocessing, and the head.

    Build it with `AestheticPredictor.load`.
    """

    encoder: CLIPVisionModelWithProjection
    processor: CLIPImageProcessorPil
    head: AestheticHead

    @classmethod
    def load(
        cls, encoder: str, head: Path, *, device: str = "cpu", dtype: torch.dtype | None = None
    ) -> "AestheticPredictor":
        """Load both networks.

        Args:
            encoder: Folder, or hub id `owner/name@COMMIT`, of a CLIP model.
            head: What `load_aesthetic_head` takes.
            device: torch device.
            dtype: That the encoder computes in, None: that of its weights; the head computes in float32.

        Raises:
            ValueError: `encoder` is no CLIP image encoder with embeddings of 768 numbers, or `head` is none for them.
            ConnectionError: The hub does not answer.
        """
        layers = load_aesthetic_head(head)
        tower = align(_load_encoder(encoder)).to(device, dtype).eval().requires_grad_(False)
        return cls(tower, build_image_processor(tower.config.image_size), layers.to(device))

    def encoder_sha256(self) -> str:
        """Return the SHA-256 of the encoder's weights and of what else it computes by, wherever it was loaded from."""
        settings = {name: getattr(self.encoder.config, name) for name in _COMPUTED_BY}
        return hashlib.sha256(f"{json.dumps(settings)}\n{weights_sha256(self.encoder)}".encode()).hexdigest()

    def preprocess(self, images: Sequence[Image.Image]) -> Tensor:
        """Composite RGBA images on white, resize, crop and normalize them: (K, 3, H, W), float32."""
        return preprocess_images(self.processor, images)

    @torch.no_grad()
    def score(self, pixels_K3HW: Tensor) -> list[float]:
        """Score preprocessed images."""
        scores_K: Tensor = self.head(embed_pixels(self.encoder, pixels_K3HW).float())
        return [float(score) for score in scores_K.tolist()]


def _load_encoder(name: str) -> CLIPVisionModelWithProjection:
    try:
        encoder = load_published(_from_pretrained, name, use_safetensors=True)
    except ConnectionError:
        raise
    except OSError as error:
        raise ValueError(f"{name} holds no CLIP image encoder ({str(error).splitlines()[0]})") from error
    if encoder.config.projection_dim != EMBEDDING_DIM:
        raise ValueError(
            f"{name} has image embeddings of {encoder.config.projection_dim} numbers, but the aesthetic predictor "
            f"needs {EMBEDDING_DIM}; give openai/clip-vit-large-patch14"
        )
    return encoder


def _from_pretrained(name: str, **settings: Any) -> CLIPVisionModelWithProjection:
    """Load an encoder; transformers by itself fills what a file lacks with random weights."""
    encoder, loaded = CLIPVisionModelWithProjection.from_pretrained(name, output_loading_info=True, **settings)
    if lacking := sorted(loaded["missing_keys"]):
        raise ValueError(f"{name} has no {lacking[0]}, so it is no CLIP image encoder with projection")
    return encoder
