"""Networks that score images, saved as published ones are, and what they compute, written out."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from models.network.initialization import seeded_weights

MEAN, DEVIATION = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
"""OpenAI's CLIP, clip/clip.py."""
SHAPES = {0: (1024, 768), 2: (128, 1024), 4: (64, 128), 6: (16, 64), 7: (1, 16)}
"""Outputs and inputs of the published head's layers, by their numbers."""


def write_encoder(folder: Path, *, projection_dim: int = 768, seed: int = 0) -> Path:
    """Save a tower of one block for images of 32 pixels."""
    with seeded_weights(seed):
        config = CLIPVisionConfig(
            image_size=32,
            patch_size=16,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            projection_dim=projection_dim,
            initializer_factor=3.0,
        )
        CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def write_full_encoder(folder: Path, layers: int = 24) -> Path:
    """Save a CLIP model whose image tower is ViT-L/14's, with a small text tower, in one file as OpenAI's is.

    Fewer `layers` than 24 leave all other sizes as they are.
    """
    vision = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 768,
    }
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with seeded_weights(0):
        config = CLIPConfig(vision_config=CLIPVisionConfig(**vision).to_dict(), text_config=text, projection_dim=768)
        CLIPModel(config).save_pretrained(folder)
    return folder


def head_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """The published head's tensors with random values, which give scores near 5."""
    rng = torch.Generator().manual_seed(seed)
    state: dict[str, torch.Tensor] = {}
    for number, (outputs, inputs) in SHAPES.items():
        state[f"layers.{number}.weight"] = torch.randn(outputs, inputs, generator=rng) * 1.5 / inputs**0.5
        state[f"layers.{number}.bias"] = torch.full((outputs,), 5.0 if number == 7 else 0.0)
    return state


def write_head(path: Path, seed: int = 0) -> Path:
    """Save a head as torch does."""
    torch.save(head_state(seed), path)
    return path


def clip_pixels(image: Image.Image, side: int) -> torch.Tensor:
    """CLIP's preprocessing, written out: (1, 3, side, side)."""
    rgb = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    scale = side / min(rgb.size)
    width, height = (int(scale * length) for length in rgb.size)
    left, top = (width - side) // 2, (height - side) // 2
    small = rgb.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
    values = (np.asarray(small) / 255 - MEAN) / DEVIATION
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]


def score_of(embedding: torch.Tensor, state: dict[str, torch.Tensor]) -> float:
    """The predictor's formula, written out."""
    value = embedding.double() / embedding.double().norm()
    for number in (0, 2, 4, 6, 7):
        value = state[f"layers.{number}.weight"].double() @ value + state[f"layers.{number}.bias"].double()
    return float(value)
