from pathlib import Path

import pytest
import torch
import torchmetrics.functional.image.lpips as reference
from safetensors.torch import save_file
from torch import nn

from models.losses.lpips import WIDTHS, build_lpips
from models.network.initialization import seeded_weights


def torchvision_features() -> nn.Sequential:
    """torchvision's vgg16().features, with random weights."""
    layers: list[nn.Module] = []
    channels = 3
    with seeded_weights(0):
        for widths in WIDTHS:
            for width in widths:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    state = {f"features.{key}": value for key, value in torchvision_features().state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2)}, path)
    return path


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, 32, 32, generator=rng) * 2 - 1
    return first, (first + 0.3 * torch.randn(first.shape, generator=rng)).clamp(-1, 1)


def test_lpips_with_the_same_trunk_equals_torchmetrics(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # torchmetrics reads its trunk from torchvision, which this project does without
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_: torchvision_features())
    expected = reference._LPIPS(net="vgg")(*pair()).flatten()
    torch.testing.assert_close(build_lpips(weights)(*pair()), expected, rtol=1e-4, atol=1e-6)
    assert expected.min() > 0


def test_lpips_of_equal_images_is_zero_and_grows_with_noise(weights: Path) -> None:
    lpips, (image, noisy) = build_lpips(weights), pair()
    assert lpips(image, image).tolist() == [0, 0]
    assert (lpips(image, noisy) > lpips(image, 0.9 * image + 0.1 * noisy)).all()


def test_lpips_is_frozen_but_passes_gradients_to_images(weights: Path) -> None:
    lpips, (image, noisy) = build_lpips(weights), pair()
    assert not any(parameter.requires_grad for parameter in lpips.parameters())
    lpips(image, noisy.requires_grad_()).sum().backward()
    assert noisy.grad is not None
    assert noisy.grad.any()


def test_lpips_reads_safetensors_and_refuses_other_networks(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    save_file(state, tmp_path / "vgg.safetensors")
    assert torch.equal(build_lpips(tmp_path / "vgg.safetensors")(*pair()), build_lpips(weights)(*pair()))
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"lacks features\.0"):
        build_lpips(tmp_path / "other.pth")
