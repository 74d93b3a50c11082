"""LAION's aesthetic predictor: scores, weights that do not fit, and the preprocessing at full size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPModel, CLIPVisionModelWithProjection

from models.network.aesthetic_predictor import AestheticPredictor, load_aesthetic_head
from tests.models.aesthetic_networks import (
    clip_pixels,
    head_state,
    score_of,
    write_encoder,
    write_full_encoder,
    write_head,
)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Smooth noise with a transparent corner."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    image.putalpha(Image.fromarray(np.pad(np.full((height - 9, width - 9), 255, np.uint8), ((9, 0), (9, 0)))))
    return image


def test_head_scores_by_the_direction_of_an_embedding_as_published(tmp_path: Path) -> None:
    head, embeds = load_aesthetic_head(write_head(tmp_path / "head.pth")), torch.randn(3, 768)
    expected = [score_of(row, head_state()) for row in embeds]
    assert head(embeds).tolist() == pytest.approx(expected, abs=1e-4)
    assert head(7 * embeds).tolist() == pytest.approx(expected, abs=1e-4)
    assert head(torch.zeros(1, 768)).isfinite().all()


def test_head_of_safetensors_is_the_same(tmp_path: Path) -> None:
    save_file(head_state(), tmp_path / "head.safetensors")
    heads = [load_aesthetic_head(path) for path in (write_head(tmp_path / "a.pth"), tmp_path / "head.safetensors")]
    embeds = torch.randn(2, 768)
    assert torch.equal(heads[0](embeds), heads[1](embeds))


@pytest.mark.parametrize(
    ("name", "tensor", "sentence"),
    [
        ("layers.0.weight", torch.zeros(1024, 512), r"has layers.0.weight \(1024, 512\) where .* \(1024, 768\)"),
        ("layers.6.bias", None, r"has no layers.6.bias where .* has layers.6.bias \(16,\)"),
        ("layers.9.bias", torch.zeros(1), r"has layers.9.bias \(1,\) where .* has no layers.9.bias"),
    ],
)
def test_head_of_other_layers_is_refused(tmp_path: Path, name: str, tensor: torch.Tensor | None, sentence: str) -> None:
    state = head_state() | ({name: tensor} if tensor is not None else {})
    torch.save({key: value for key, value in state.items() if key != name or tensor is not None}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=sentence):
        load_aesthetic_head(tmp_path / "x.pth")


class Code:
    """What a file of weights must not run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("touched"),)  # type: ignore[return-value]


def test_head_with_code_in_it_is_refused_and_the_code_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"layers.0.weight": Code()}, tmp_path / "x.pth")
    (tmp_path / "y.safetensors").write_bytes(b"<html>")
    torch.save(head_state() | {"epoch": 3}, tmp_path / "z.pth")
    for name in ("x.pth", "y.safetensors", "z.pth"):
        with pytest.raises(ValueError, match=f"{name} .*give a .safetensors file or a state dict"):
            load_aesthetic_head(tmp_path / name)
    assert not (tmp_path / "touched").exists()


def test_encoder_of_other_embeddings_or_without_a_projection_is_refused(tmp_path: Path) -> None:
    head = write_head(tmp_path / "head.pth")
    with pytest.raises(ValueError, match="embeddings of 512 numbers, but the aesthetic predictor needs 768"):
        AestheticPredictor.load(str(write_encoder(tmp_path / "narrow", projection_dim=512)), head)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no CLIP image encoder"):
        AestheticPredictor.load(str(tmp_path / "empty"), head)
    tower = CLIPVisionModelWithProjection.from_pretrained(write_encoder(tmp_path / "whole"))
    tower.vision_model.config.projection_dim = 768
    tower.vision_model.save_pretrained(tmp_path / "unprojected")
    with pytest.raises(ValueError, match=r"unprojected has no .*, so it is no CLIP image encoder with projection"):
        AestheticPredictor.load(str(tmp_path / "unprojected"), head)


def test_encoder_hash_is_of_weights_and_activation_and_of_nothing_else(tmp_path: Path) -> None:
    head = write_head(tmp_path / "head.pth")
    encoder, copy, other = (write_encoder(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    first, again, third = (AestheticPredictor.load(str(path), head).encoder_sha256() for path in (encoder, copy, other))
    assert first == again != third
    config = copy / "config.json"
    config.write_text(config.read_text().replace("quick_gelu", "gelu"))
    assert AestheticPredictor.load(str(copy), head).encoder_sha256() != first


@pytest.mark.slow(seconds=3)
@pytest.mark.parametrize("layers", [2, pytest.param(24, marks=pytest.mark.nightly)])
def test_predictor_of_full_size_scores_a_whole_clip_model_as_written_out(tmp_path: Path, layers: int) -> None:
    clip = write_full_encoder(tmp_path / "clip", layers)
    head = write_head(tmp_path / "head.pth")
    predictor = AestheticPredictor.load(str(clip), head)
    images = [picture(512, 512), picture(301, 227, seed=1)]
    pixels = predictor.preprocess(images)
    expected = torch.cat([clip_pixels(image, 224) for image in images])
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-5)
    scores = predictor.score(pixels)
    with torch.no_grad():
        embeds = CLIPModel.from_pretrained(clip).get_image_features(expected)
    embeds = getattr(embeds, "pooler_output", embeds)
    assert scores == pytest.approx([score_of(row, head_state()) for row in embeds], abs=1e-3)
