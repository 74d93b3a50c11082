"""Shift-tolerant LPIPS against the package that it was published in."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from models.losses.st_lpips import CONVOLUTIONS, build_st_lpips, packaged_weights


def pattern() -> torch.Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    return torch.stack([torch.sin(7 * x), torch.cos(9 * y), torch.sin(5 * x * y)])[None]


def test_st_lpips_equals_the_published_package() -> None:
    """The numbers are of stlpips-pytorch 0.0.2 itself, imported with empty stand-ins for torchvision and IPython."""
    if find_spec("stlpips_pytorch") is None:
        pytest.skip("stlpips-pytorch is not installed")
    network, image = build_st_lpips(), pattern()
    assert network(image, image.flip(3)).item() == pytest.approx(0.466346, abs=1e-5)
    assert network(image, image.roll(1, 3)).item() == pytest.approx(0.008818, abs=1e-5)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Random weights under the package's names."""
    rng, state, channels = torch.Generator().manual_seed(0), {}, 3
    for number, (name, width, side, _) in enumerate(CONVOLUTIONS):
        scale = (channels * side * side) ** -0.5
        state[f"net.{name}.weight"] = scale * torch.randn(width, channels, side, side, generator=rng)
        state[f"net.{name}.bias"] = torch.zeros(width)
        state[f"lin{number}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=rng)
        channels = width
    torch.save(state, tmp_path / "alex.pth")
    return tmp_path / "alex.pth"


def test_st_lpips_is_zero_for_equal_images_and_small_for_a_shift(weights: Path) -> None:
    network, image = build_st_lpips(weights), pattern()
    assert network(image, image).tolist() == [0]
    assert network(image, image.roll(1, 3)) < 0.2 * network(image, image.flip(3))
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_st_lpips_without_its_weights_names_the_remedy(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({}, weights)
    with pytest.raises(ValueError, match=r"lacks 'net\.slice1\.0\.weight'"):
        build_st_lpips(weights)
    monkeypatch.setattr("models.losses.st_lpips.PACKAGE", "package_that_is_not_there")
    with pytest.raises(ValueError, match=r"pip install stlpips-pytorch==0\.0\.2"):
        packaged_weights()
