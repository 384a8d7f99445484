"""Fidelity metrics against closed forms and a plain loop over windows."""

from __future__ import annotations

from math import exp, log10

import numpy as np
import pytest
import torch

from suite.fidelity import max_relative_error, psnr_db, relative_l2_error, ssim


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_psnr_of_known_noise() -> None:
    """A constant difference d has a mean square error of d^2: -20 log10 d. Noise of variance v: -10 log10 v."""
    image = picture(1, 3, 200, 200)
    assert psnr_db(image + 0.1, image) == pytest.approx(20)
    noise = 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert psnr_db(image + noise, image) == pytest.approx(-20 * log10(0.02), abs=0.1)


def test_of_identical_outputs() -> None:
    image = picture(2, 3, 16, 16)
    assert psnr_db(image, image) is None
    assert ssim(image, image) == pytest.approx(1, abs=1e-12)
    assert max_relative_error(image, image) == relative_l2_error(image, image) == 0


def test_relative_errors_by_hand() -> None:
    expected, output = torch.tensor([3.0, -4.0]), torch.tensor([3.0, -3.0])
    assert relative_l2_error(output, expected) == pytest.approx(1 / 5)
    assert max_relative_error(output, expected) == pytest.approx(1 / 4)
    assert relative_l2_error(output, torch.zeros(2)) == float("inf")


def ssim_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 13 of Wang et al. 2004, window by window."""
    weights = np.array([[exp(-(r * r + c * c) / (2 * 1.5**2)) for c in range(-5, 6)] for r in range(-5, 6)])
    weights /= weights.sum()
    values = []
    for row in range(x.shape[0] - 10):
        for column in range(x.shape[1] - 10):
            a, b = (image[row : row + 11, column : column + 11] for image in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 1e-4)
                * (2 * covariance + 9e-4)
                / ((mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4))
            )
    return float(np.mean(values))


def test_ssim_window_by_window() -> None:
    one, other = picture(1, 1, 14, 17), picture(1, 1, 14, 17, seed=1)
    mixed = 0.7 * one + 0.3 * other
    assert ssim(mixed, one) == pytest.approx(ssim_by_hand(mixed[0, 0].numpy(), one[0, 0].numpy()), abs=1e-12)
    assert ssim(mixed, one) == pytest.approx(ssim(one, mixed), abs=1e-12)


def test_ssim_of_flat_images() -> None:
    """No variance: only luminance is left, (2 a b + c) / (a^2 + b^2 + c)."""
    a, b = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.6)
    assert ssim(a, b) == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), rel=1e-6)


def test_ssim_is_the_mean_over_frames_and_channels() -> None:
    one, other = picture(1, 2, 3, 12, 12), picture(1, 2, 3, 12, 12, seed=1)
    planes = [ssim(one[:, f, c][None], other[:, f, c][None]) for f in range(2) for c in range(3)]
    assert ssim(one, other) == pytest.approx(np.mean(planes))


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    assert ssim(picture(1, 3, 10, 20), picture(1, 3, 10, 20)) is None
