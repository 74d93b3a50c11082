"""LPIPS v0.1 with VGG16 (Zhang et al. 2018), the perceptual distance of the VAE's loss (sec. 5.4) and of the metrics.

Our own, because torchmetrics' LPIPS needs torchvision and downloads the backbone, while nodes of a cluster are offline.
The backbone's weights are a file of the user's (torchvision's vgg16 .pth, or the same names in safetensors); the linear
heads are those that torchmetrics ships.
"""

# Shapes: B image, C channel, H and W feature size

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from models.data.weight_files import read_tensors
from models.losses.perceptual import PerceptualDistance

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions by level; levels are separated by max-pooling, and each ends in one feature map."""


def build_lpips(weights: Path) -> PerceptualDistance:
    """Build the distance, for images of at least 16 pixels along each side.

    Args:
        weights: VGG16's weights as torchvision names them: a .pth file of its state dict, or .safetensors.

    Raises:
        ValueError: `weights` lacks a layer of VGG16, or is no file of weights.
    """
    heads = torch.load(_heads_file(), map_location="cpu", weights_only=True)
    return PerceptualDistance(
        _vgg16(weights), [heads[f"lin{level}.model.1.weight"] for level in range(len(WIDTHS))], _unit
    )


def _unit(features_BCHW: Tensor) -> Tensor:
    """Normalize features to length 1 over the channels."""
    return features_BCHW / torch.sqrt(1e-8 + (features_BCHW**2).sum(1, keepdim=True))


def _vgg16(weights: Path) -> list[nn.Module]:
    """Build the five levels and load their weights, whose keys number the layers of all levels in sequence."""
    layers: list[nn.Module] = []
    ends, channels = [], 3
    for widths in WIDTHS:
        layers += [nn.MaxPool2d(2)] if layers else []
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        ends.append(len(layers))
    backbone = nn.Sequential(*layers)
    found = _read(weights)
    missing = backbone.state_dict().keys() - found.keys()
    if missing:
        raise ValueError(f"{weights} lacks features.{min(missing)}; give torchvision's vgg16 weights")
    backbone.load_state_dict({key: found[key] for key in backbone.state_dict()})
    return [backbone[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _read(weights: Path) -> dict[str, Tensor]:
    """Read the tensors named `features.*` and drop that prefix."""
    tensors = read_tensors(weights)
    return {key.removeprefix("features."): value for key, value in tensors.items() if key.startswith("features.")}


def _heads_file() -> Path:
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "functional/image/lpips_models/vgg.pth"
