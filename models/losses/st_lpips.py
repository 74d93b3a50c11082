"""Shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022, arXiv 2207.13686) with AlexNet: a distance of its own, not LPIPS.

It hardly grows when an image moves by a pixel, which PSNR and LPIPS punish. The architecture is written here, because
the package stlpips-pytorch that ships its weights (BSD-2-Clause) needs torchvision when it is imported; only its file
of weights is read.
"""

# Shapes: B image, C channel, H and W image size

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from models.losses.perceptual import PerceptualDistance

PACKAGE = "stlpips_pytorch"
FILE = "weights/vST0.0/alex_shift_tolerant.pth"
CONVOLUTIONS = (
    ("slice1.0", 64, 11, 2),
    ("slice2.5", 192, 5, 2),
    ("slice3.9", 384, 3, 1),
    ("slice4.11", 256, 3, 1),
    ("slice5.13", 256, 3, 1),
)
"""Name in the file, channels, side of the kernel and padding of AlexNet's convolutions, each of stride 1."""
BLURRED = 2
"""Convolutions that follow a max-pooling with a blurred subsampling; the first is itself subsampled so."""


class BlurPool(nn.Module):
    """Every second pixel of the image blurred by 1-2-1 along both axes, reflected by two pixels at its border."""

    def forward(self, features_BCHW: Tensor) -> Tensor:
        """Return (B, C, about H / 2 + 1, about W / 2 + 1)."""
        channels = features_BCHW.shape[1]
        row = torch.tensor([0.25, 0.5, 0.25], dtype=features_BCHW.dtype, device=features_BCHW.device)
        kernel = (row[:, None] * row).expand(channels, 1, 3, 3)
        padded = nn.functional.pad(features_BCHW, (2, 2, 2, 2), mode="reflect")
        return nn.functional.conv2d(padded, kernel, stride=2, groups=channels)


def build_st_lpips(weights: Path | None = None) -> PerceptualDistance:
    """Build the distance, for images of at least 24 pixels along each side.

    Args:
        weights: The package's file of AlexNet's weights; None: where the package stlpips-pytorch is installed.

    Raises:
        ValueError: The package is not installed, or the file holds other weights.
    """
    path = weights or packaged_weights()
    found = torch.load(path, map_location="cpu", weights_only=True)
    levels: list[nn.Module] = []
    channels = 3
    try:
        for number, (name, width, side, padding) in enumerate(CONVOLUTIONS):
            convolution = nn.Conv2d(channels, width, side, padding=padding)
            convolution.load_state_dict({key: found[f"net.{name}.{key}"] for key in ("weight", "bias")})
            before = [nn.MaxPool2d(3, stride=1), BlurPool()] if 1 <= number <= BLURRED else []
            after = [BlurPool()] if number == 0 else []
            levels.append(nn.Sequential(*before, convolution, *after, nn.ReLU()))
            channels = width
        heads = [found[f"lin{number}.model.1.weight"] for number in range(len(CONVOLUTIONS))]
    except KeyError as error:
        raise ValueError(f"{path} lacks {error}; give {FILE} of the package stlpips-pytorch") from error
    return PerceptualDistance(levels, heads, _unit)


def packaged_weights() -> Path:
    """Find the file of weights in the package stlpips-pytorch, without importing it.

    Raises ValueError when it is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ValueError(
            "evaluate.st_lpips is true and stlpips-pytorch is not installed; "
            "run `pip install stlpips-pytorch==0.0.2`, or write false"
        )
    return Path(spec.origin).parent / FILE


def _unit(features_BCHW: Tensor) -> Tensor:
    """Normalize features to length 1 over the channels."""
    return features_BCHW / (features_BCHW.square().sum(1, keepdim=True).sqrt() + 1e-10)
