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


class ShiftTolerantLPIPS(nn.Module):
    """Perceptual distance of RGB images in [-1, 1]; its weights are frozen.

    Args:
        weights: The package's file of AlexNet's weights; None: where the package stlpips-pytorch is installed.

    Raises:
        ValueError: The package is not installed, or the file holds other weights.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__()
        levels: list[nn.Module] = []
        channels = 3
        for number, (_, width, side, padding) in enumerate(CONVOLUTIONS):
            convolution = nn.Conv2d(channels, width, side, padding=padding)
            before = [nn.MaxPool2d(3, stride=1), BlurPool()] if 1 <= number <= BLURRED else []
            after = [BlurPool()] if number == 0 else []
            levels.append(nn.Sequential(*before, convolution, *after, nn.ReLU()))
            channels = width
        self.levels = nn.ModuleList(levels)
        self.heads = nn.ParameterList([torch.zeros(1, width, 1, 1) for _, width, _, _ in CONVOLUTIONS])
        # the normalization of LPIPS: ImageNet's mean and deviation for [-1, 1] images
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self._load(weights or packaged_weights())
        self.requires_grad_(False)

    def _load(self, path: Path) -> None:
        found = torch.load(path, map_location="cpu", weights_only=True)
        try:
            for number, (level, (name, *_)) in enumerate(zip(self.levels, CONVOLUTIONS, strict=True)):
                convolution = next(part for part in level.modules() if isinstance(part, nn.Conv2d))
                tensors = {key: found[f"net.{name}.{key}"] for key in ("weight", "bias")}
                convolution.load_state_dict(tensors)
                self.heads[number].data = found[f"lin{number}.model.1.weight"]
        except KeyError as error:
            raise ValueError(f"{path} lacks {error}; give {FILE} of the package stlpips-pytorch") from error

    def forward(self, first_B3HW: Tensor, second_B3HW: Tensor) -> Tensor:
        """Compute the distance of each pair of images.

        Args:
            first_B3HW: RGB in [-1, 1]; H and W are at least 24.
            second_B3HW: The same.

        Returns:
            (B,) distances, 0 for equal images.
        """
        distance_B = first_B3HW.new_zeros(len(first_B3HW))
        first, second = ((images - self.shift) / self.scale for images in (first_B3HW, second_B3HW))
        for level, head in zip(self.levels, self.heads, strict=True):
            first, second = level(first), level(second)
            difference = (_unit(first) - _unit(second)) ** 2
            distance_B = distance_B + (difference * head).sum(1).mean((1, 2))
        return distance_B


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
