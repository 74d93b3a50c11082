"""Image metrics against closed forms and torchmetrics."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.losses.metrics import MAX_PSNR, inner, mask_iou, on_white, psnr, ssim, ssim_map


def images(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_constant_error_is_its_closed_form() -> None:
    assert psnr(torch.full((2, 3, 8, 8), 0.5), torch.full((2, 3, 8, 8), 0.6)).tolist() == pytest.approx([20, 20])


def test_psnr_of_each_image_agrees_with_torchmetrics() -> None:
    one, other = images(0), images(1)
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0).item() for a, b in zip(one, other, strict=True)]
    assert psnr(one, other).tolist() == pytest.approx(expected, rel=1e-5)


def test_psnr_of_equal_images_is_the_cap() -> None:
    assert psnr(images(0), images(0)).tolist() == [MAX_PSNR] * 3


def torchmetrics_ssim(one: torch.Tensor, other: torch.Tensor) -> float:
    value = structural_similarity_index_measure(one, other)
    assert isinstance(value, torch.Tensor)
    return value.item()


def test_ssim_equals_torchmetrics_with_the_data_range_of_each_pair() -> None:
    """torchmetrics in double precision; in single it is off by 1e-6 itself, on white backgrounds."""
    other = images(1) * torch.tensor([1.0, 0.5, 0.1]).view(3, 1, 1, 1)
    one = other + 0.05 * images(0)
    one[:, :, :8], other[:, :, :12] = 1, 1
    expected = [torchmetrics_ssim(a[None].double(), b[None].double()) for a, b in zip(one, other, strict=True)]
    assert ssim(one, other).tolist() == pytest.approx(expected, abs=1e-6)
    assert torchmetrics_ssim(one, other) != pytest.approx(sum(expected) / 3, rel=1e-3)


def test_inner_ssim_equals_scikit_image() -> None:
    one, other = images(0), images(1)
    expected = [
        structural_similarity(
            a.numpy(),
            b.numpy(),
            channel_axis=0,
            gaussian_weights=True,
            use_sample_covariance=False,
            data_range=max(np.ptp(a.numpy()), np.ptp(b.numpy())),
        )
        for a, b in zip(one.double(), other.double(), strict=True)
    ]
    assert inner(ssim_map(one, other)).tolist() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="11 x 11: give larger images"):
        inner(torch.ones(1, 10, 24))


def test_ssim_of_two_plain_images_is_a_number() -> None:
    white, grey = torch.ones(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    assert ssim(white, white).item() == pytest.approx(1)
    assert ssim(white, grey).item() == pytest.approx(2 * 0.5 / 1.25, rel=1e-3)  # the luminance term alone


def test_mask_iou_counts_pixels_above_one_half() -> None:
    one, other = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    one[0, :2], other[0, 1:3] = 0.9, 0.6
    one[1, :2] = 0.4
    one[2, 0] = 1
    assert mask_iou(one, other).tolist() == pytest.approx([1 / 3, 1, 0])


def test_on_white_shows_white_where_alpha_is_zero() -> None:
    rgba = torch.tensor([[[[0.2, 0.4, 0.6, 0.5], [0.9, 0.1, 0.3, 0.0]]]])
    torch.testing.assert_close(on_white(rgba)[0, :, 0], torch.tensor([[0.6, 1.0], [0.7, 1.0], [0.8, 1.0]]))
