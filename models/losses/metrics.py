"""Image metrics of generated against true views (sec. 5.2), computed as in SyncDreamer's evaluation.

Colours and alpha lie in [0, 1]. Each function scores image by image; averaging is left to the caller.
"""

# Shapes: B image, H and W image size

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.data.images import composite_on_white

MAX_PSNR = 100.0
"""Upper bound in dB, for images without any error, whose ratio would be infinite; 8-bit images reach at most 96."""
WINDOW_RADIUS_PX = 5
"""SSIM's Gaussian window has 11 x 11 pixels."""
WINDOW_SIGMA_PX = 1.5
Floats = npt.NDArray[np.float32]


def on_white(rgba_BHW4: Tensor) -> Tensor:
    """Composite straight-alpha images on white; channels come first in the result (B, 3, H, W)."""
    return composite_on_white(rgba_BHW4[..., :3], rgba_BHW4[..., 3:]).permute(0, 3, 1, 2).contiguous()


def psnr(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (B,) in dB, from the mean squared error over channels and pixels; at most MAX_PSNR."""
    error = (predicted_B3HW - target_B3HW).square().mean(dim=(1, 2, 3))
    return (-10 * torch.log10(error)).clamp(max=MAX_PSNR)


def ssim(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Structural similarity (B,) as torchmetrics' defaults compute it since version 1.4.2: the mean of `ssim_map`."""
    return ssim_map(predicted_B3HW, target_B3HW).mean((1, 2))


def inner(map_BHW: Tensor) -> Tensor:
    """Mean (B,) of a map of SSIM over the windows wholly inside the image, which leaves out 5 pixels all round.

    That is what torchmetrics before 1.4.2 computed (Lightning-AI/torchmetrics, pull request 2721), so what papers up
    to 2024 report, and what scikit-image computes. An object on white leaves the border white, so this is the lower.

    Raises:
        ValueError: An image has no such window.
    """
    if min(map_BHW.shape[1:]) <= 2 * WINDOW_RADIUS_PX:
        raise ValueError(f"images have {map_BHW.shape[1:]} pixels; SSIM's window has 11 x 11: give larger images")
    border = slice(WINDOW_RADIUS_PX, -WINDOW_RADIUS_PX)
    return map_BHW[:, border, border].mean((1, 2))


def ssim_map(predicted_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """Structural similarity at each pixel (B, H, W), the mean over the channels (Wang et al. 2004).

    The window is Gaussian, the images are reflected at their borders, and each pair has its own data range. Two images
    of one and the same colour have no range; they are compared with range 1 instead of dividing 0 by 0.

    OpenCV filters four times as fast as torch does on a processor, so images on a GPU are brought back from it.
    """
    pairs = zip(_channels_last(predicted_B3HW), _channels_last(target_B3HW), strict=True)
    return torch.from_numpy(np.stack([_ssim_of_pair(*pair) for pair in pairs])).to(predicted_B3HW.device)


def _channels_last(images_B3HW: Tensor) -> Floats:
    """Images (B, H, W, 3) shifted to [-1, 0]: variances do not change, and a white background loses no digits."""
    return images_B3HW.permute(0, 2, 3, 1).cpu().float().numpy() - np.float32(1)


def _ssim_of_pair(predicted_HW3: Floats, target_HW3: Floats) -> Floats:
    extent = max(float(np.ptp(predicted_HW3)), float(np.ptp(target_HW3))) or 1.0
    c1, c2 = (0.01 * extent) ** 2, (0.03 * extent) ** 2
    mean_x, mean_y = _windowed(predicted_HW3), _windowed(target_HW3)
    variance_x = _windowed(predicted_HW3 * predicted_HW3) - mean_x * mean_x
    variance_y = _windowed(target_HW3 * target_HW3) - mean_y * mean_y
    covariance = _windowed(predicted_HW3 * target_HW3) - mean_x * mean_y
    mean_x, mean_y = mean_x + 1, mean_y + 1
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x * mean_x + mean_y * mean_y + c1) * (np.maximum(variance_x, 0) + np.maximum(variance_y, 0) + c2)
    similarity: Floats = (above / below).mean(axis=2, dtype=np.float32)
    return similarity


def _windowed(image_HWC: Floats) -> Floats:
    """Weighted mean around each pixel."""
    size = (2 * WINDOW_RADIUS_PX + 1,) * 2
    return np.asarray(cv2.GaussianBlur(image_HWC, size, WINDOW_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101))


def mask_iou(predicted_BHW: Tensor, target_BHW: Tensor) -> Tensor:
    """Intersection over union (B,) of two alpha channels thresholded at one half; 1 where both masks are empty."""
    predicted, target = predicted_BHW > 0.5, target_BHW > 0.5
    union = (predicted | target).sum(dim=(1, 2))
    return torch.where(union > 0, (predicted & target).sum(dim=(1, 2)) / union.clamp(min=1), 1.0)
