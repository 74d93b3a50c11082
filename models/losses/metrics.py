"""Image metrics of generated against true views (sec. 5.2), computed as in SyncDreamer's evaluation.

Colours and alpha lie in [0, 1]. Each function scores image by image; averaging is left to the caller.
"""

# Shapes: B image, H and W image size

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from models.data.images import composite_on_white

MAX_PSNR = 100.0
"""Upper bound in dB, for images without any error, whose ratio would be infinite; 8-bit images reach at most 96."""


def on_white(rgba_BHW4: Tensor) -> Tensor:
    """Composite straight-alpha images on white; channels come first in the result (B, 3, H, W)."""
    return composite_on_white(rgba_BHW4[..., :3], rgba_BHW4[..., 3:]).permute(0, 3, 1, 2).contiguous()


def psnr(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (B,) in dB, from the mean squared error over channels and pixels; at most MAX_PSNR."""
    error = (predicted_B3HW - target_B3HW).square().mean(dim=(1, 2, 3))
    return (-10 * torch.log10(error)).clamp(max=MAX_PSNR)


def ssim(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Structural similarity (B,) with torchmetrics' defaults: 11x11 Gaussian window, each pair's own data range.

    Two images of one and the same colour have no range; they are compared with range 1 instead of dividing 0 by 0.
    """
    scores = []
    for predicted, target in zip(predicted_B3HW[:, None], target_B3HW[:, None], strict=True):
        has_range = bool(predicted.amax() > predicted.amin()) or bool(target.amax() > target.amin())
        score = structural_similarity_index_measure(predicted, target, data_range=None if has_range else 1.0)
        assert isinstance(score, Tensor)
        scores.append(score)
    return torch.stack(scores)


def mask_iou(predicted_BHW: Tensor, target_BHW: Tensor) -> Tensor:
    """Intersection over union (B,) of two alpha channels thresholded at one half; 1 where both masks are empty."""
    predicted, target = predicted_BHW > 0.5, target_BHW > 0.5
    union = (predicted | target).sum(dim=(1, 2))
    return torch.where(union > 0, (predicted & target).sum(dim=(1, 2)) / union.clamp(min=1), 1.0)
