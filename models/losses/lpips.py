"""LPIPS v0.1 with VGG16 (Zhang et al. 2018), without torchvision.

The trunk's weights are a file of the user's (torchvision's vgg16 .pth, or the same names in safetensors);
the linear heads are those that torchmetrics ships.
"""

# B image, C channel, H and W size

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Convolutions of VGG16, one tuple per level; max-pooling in between, features are read at the end of each."""


class LPIPS(nn.Module):
    """Perceptual distance of RGB images in [-1, 1]; frozen, always in evaluation mode."""

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path) -> None:
        """Raises ValueError when `weights` holds no VGG16."""
        super().__init__()
        self.levels = _vgg16(weights)
        heads = torch.load(_heads_file(), map_location="cpu", weights_only=True)
        self.heads = nn.ParameterList([heads[f"lin{level}.model.1.weight"] for level in range(len(WIDTHS))])
        # Zhang's normalization of [-1, 1] images: ImageNet's mean and deviation
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, first_B3HW: Tensor, second_B3HW: Tensor) -> Tensor:
        """Distances (B,); the gradient flows to the images."""
        distance_B = first_B3HW.new_zeros(len(first_B3HW))
        first, second = (first_B3HW - self.shift) / self.scale, (second_B3HW - self.shift) / self.scale
        for level, head in zip(self.levels, self.heads, strict=True):
            first, second = level(first), level(second)
            difference = (_unit(first) - _unit(second)) ** 2
            distance_B = distance_B + (difference * head).sum(1).mean((1, 2))
        return distance_B


def _unit(features_BCHW: Tensor) -> Tensor:
    """Features of length 1 over the channels."""
    return features_BCHW / torch.sqrt(1e-8 + (features_BCHW**2).sum(1, keepdim=True))


def _vgg16(weights: Path) -> nn.ModuleList:
    """The five levels with the weights of `weights`, whose keys number the layers of all levels in one row."""
    layers: list[nn.Module] = []
    ends, channels = [], 3
    for widths in WIDTHS:
        layers += [nn.MaxPool2d(2)] if layers else []
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        ends.append(len(layers))
    trunk = nn.Sequential(*layers)
    found = _read(weights)
    missing = trunk.state_dict().keys() - found.keys()
    if missing:
        raise ValueError(f"{weights} lacks features.{min(missing)}; give torchvision's vgg16 weights")
    trunk.load_state_dict({key: found[key] for key in trunk.state_dict()})
    return nn.ModuleList([trunk[start:end] for start, end in zip([0, *ends], ends, strict=False)])


def _read(weights: Path) -> dict[str, Any]:
    """The tensors named `features.*`, without that prefix."""
    is_safe = weights.suffix == ".safetensors"
    tensors = load_file(weights) if is_safe else torch.load(weights, map_location="cpu", weights_only=True)
    return {key.removeprefix("features."): value for key, value in tensors.items() if key.startswith("features.")}


def _heads_file() -> Path:
    spec = find_spec("torchmetrics")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "functional/image/lpips_models/vgg.pth"
