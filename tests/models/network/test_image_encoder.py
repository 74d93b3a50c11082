from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.network.image_encoder import build_image_encoder, build_image_processor, embed_images
from tests.models.toy_models import Tower


def picture(colour: tuple[int, int, int, int], side: int = 24) -> Image.Image:
    return Image.new("RGBA", (side, side), colour)


def test_image_encoder_of_equal_seeds_is_equal_and_leaves_the_global_generator() -> None:
    state = torch.get_rng_state()
    first, again, other = (build_image_encoder(Tower(), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_image_encoder_saved_and_named_as_pretrained_is_loaded_frozen(tmp_path: Path) -> None:
    encoder = build_image_encoder(Tower(), seed=1)
    encoder.save_pretrained(tmp_path)
    loaded = build_image_encoder(Tower(pretrained=str(tmp_path)), seed=7)
    images, processor = [picture((200, 10, 30, 255))], build_image_processor(16)
    assert torch.equal(embed_images(loaded, processor, images), embed_images(encoder, processor, images))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with pytest.raises(ValueError, match="projection_dim is 8 but"):
        build_image_encoder(Tower(pretrained=str(tmp_path), projection_dim=8), seed=1)


def test_embeddings_see_pictures_on_white() -> None:
    encoder, processor = build_image_encoder(Tower(), seed=1), build_image_processor(16)
    transparent, white, black = picture((0, 0, 0, 0)), picture((255, 255, 255, 255)), picture((0, 0, 0, 255))
    embeds = embed_images(encoder, processor, [transparent, np.array(white), black])
    assert embeds.shape == (3, 24)
    assert torch.equal(embeds[0], embeds[1])
    assert not torch.allclose(embeds[0], embeds[2], atol=1e-2)
    with pytest.raises(ValueError, match="nothing but its background"):
        embed_images(encoder, processor, [white.convert("RGB")])
