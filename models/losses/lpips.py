"""LPIPS v0.1 with VGG16 (Zhang et al. 2018), the perceptual distance of the VAE's loss (sec. 5.4) and of the metrics.

Our own, because torchmetrics' LPIPS needs torchvision and downloads the backbone, while nodes of a cluster are offline.
The backbone's weights are a file of the user's (torchvision's vgg16 .pth, or the same names in safetensors); the linear
heads are those that torchmetrics ships.
"""

# Shapes: B image, C channel, H and W image size

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions by level; levels are separated by max-pooling, and each ends in one feature map."""


class LPIPS(nn.Module):
    """Perceptual distance of RGB images in [-1, 1]; its weights are frozen.

    Args:
        weights: VGG16's weights as torchvision names them: a .pth file of its state dict, or .safetensors.

    Raises:
        ValueError: `weights` lacks a layer of VGG16.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.levels = _vgg16(weights)
        heads = torch.load(_heads_file(), map_location="cpu", weights_only=True)
        self.heads = nn.ParameterList([heads[f"lin{level}.model.1.weight"] for level in range(len(WIDTHS))])
        # Zhang's normalization of [-1, 1] images: ImageNet's mean and deviation
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, first_B3HW: Tensor, second_B3HW: Tensor) -> Tensor:
        """Compute the distance of each pair of images; gradients flow to both.

        Args:
            first_B3HW: RGB in [-1, 1]; H and W are at least 16.
            second_B3HW: The same.

        Returns:
            (B,) distances, 0 for equal images.
        """
        distance_B = first_B3HW.new_zeros(len(first_B3HW))
        first, second = (first_B3HW - self.shift) / self.scale, (second_B3HW - self.shift) / self.scale
        for level, head in zip(self.levels, self.heads, strict=True):
            first, second = level(first), level(second)
            difference = (_unit(first) - _unit(second)) ** 2
            distance_B = distance_B + (difference * head).sum(1).mean((1, 2))
        return distance_B


def _unit(features_BCHW: Tensor) -> Tensor:
    """Normalize features to length 1 over the channels."""
    return features_BCHW / torch.sqrt(1e-8 + (features_BCHW**2).sum(1, keepdim=True))


def _vgg16(weights: Path) -> nn.ModuleList:
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
    return nn.ModuleList([backbone[start:end] for start, end in zip([0, *ends], ends, strict=False)])


def _read(weights: Path) -> dict[str, Any]:
    """Read the tensors named `features.*` and drop that prefix."""
    is_safe = weights.suffix == ".safetensors"
    tensors = load_file(weights) if is_safe else torch.load(weights, map_location="cpu", weights_only=True)
    return {key.removeprefix("features."): value for key, value in tensors.items() if key.startswith("features.")}


def _heads_file() -> Path:
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "functional/image/lpips_models/vgg.pth"
