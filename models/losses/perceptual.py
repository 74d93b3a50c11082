"""The form that LPIPS and its shift-tolerant variant share: weighted differences of a network's features."""

# Shapes: B image, C channel, H and W image size

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class PerceptualDistance(nn.Module):
    """Distance of RGB images in [-1, 1] by their features (Zhang et al. 2018, eq. 1); its weights are frozen.

    Args:
        levels: The parts of the network, each of which takes the features of the one before.
        heads: Weights (1, C, 1, 1) of the channels that each level ends in.
        unit: Normalizes features over their channels.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, levels: Sequence[nn.Module], heads: Sequence[Tensor], unit: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)
        self.heads = nn.ParameterList(heads)
        self.unit = unit
        # Zhang's normalization of [-1, 1] images: ImageNet's mean and deviation
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, first_B3HW: Tensor, second_B3HW: Tensor) -> Tensor:
        """Compute the distance of each pair of images; gradients flow to both.

        Args:
            first_B3HW: RGB in [-1, 1], as large as the network needs.
            second_B3HW: The same.

        Returns:
            (B,) distances, 0 for equal images.
        """
        distance_B = first_B3HW.new_zeros(len(first_B3HW))
        first, second = (first_B3HW - self.shift) / self.scale, (second_B3HW - self.shift) / self.scale
        for level, head in zip(self.levels, self.heads, strict=True):
            first, second = level(first), level(second)
            difference = (self.unit(first) - self.unit(second)) ** 2
            distance_B = distance_B + (difference * head).sum(1).mean((1, 2))
        return distance_B
