"""How close sampled views are to the true ones (sec. 5.2), as SyncDreamer's evaluation computes it.

B images, H = W; colours in [0, 1]. Each function scores image by image; averaging is the caller's.
"""

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

MAX_PSNR = 100.0
"""Decibel given to an image without any error, whose ratio would be infinite; 8-bit images reach at most 96."""


def on_white(rgba_BHW4: Tensor) -> Tensor:
    """(B, 3, H, W) straight-alpha images composited on white."""
    alpha = rgba_BHW4[..., 3:]
    return (rgba_BHW4[..., :3] * alpha + 1 - alpha).permute(0, 3, 1, 2).contiguous()


def psnr(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """(B,) peak signal-to-noise ratio in dB, of the squared error's mean over channels and pixels; at most MAX_PSNR."""
    error = (predicted_B3HW - target_B3HW).square().mean(dim=(1, 2, 3))
    return (-10 * torch.log10(error)).clamp(max=MAX_PSNR)


def ssim(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """(B,) structural similarity with torchmetrics' defaults: 11x11 Gaussian window, each pair's own data range.

    A pair without any range (two plain images) is compared with the range 1; the default would divide 0 by 0.
    """
    scores = []
    for predicted, target in zip(predicted_B3HW[:, None], target_B3HW[:, None], strict=True):
        has_range = bool(predicted.amax() > predicted.amin()) or bool(target.amax() > target.amin())
        score = structural_similarity_index_measure(predicted, target, data_range=None if has_range else 1.0)
        assert isinstance(score, Tensor)
        scores.append(score)
    return torch.stack(scores)


def mask_iou(predicted_BHW: Tensor, target_BHW: Tensor) -> Tensor:
    """(B,) intersection over union of two alphas cut at one half; 1 where both are empty."""
    predicted, target = predicted_BHW > 0.5, target_BHW > 0.5
    union = (predicted | target).sum(dim=(1, 2))
    return torch.where(union > 0, (predicted & target).sum(dim=(1, 2)) / union.clamp(min=1), 1.0)
