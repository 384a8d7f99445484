"""How far an output is from the one it should be. Pure functions of tensors, computed in double precision.

Outputs are images ``[B, C, H, W]`` or videos ``[B, F, C, H, W]`` in [0, 1].
"""

from __future__ import annotations

from math import log10

import torch
from torch import Tensor
from torch.nn.functional import conv2d

WINDOW_SIZE, WINDOW_SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03


def relative_l2_error(output: Tensor, expected: Tensor) -> float:
    """``|output - expected| / |expected|`` over all elements; 0 where both are 0."""
    difference = (output.double() - expected.double()).norm().item()
    return 0.0 if difference == 0 else _ratio(difference, expected.double().norm().item())


def max_relative_error(output: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest element that is expected; 0 where they are equal."""
    difference = (output.double() - expected.double()).abs().max().item()
    return 0.0 if difference == 0 else _ratio(difference, expected.double().abs().max().item())


def psnr_db(output: Tensor, expected: Tensor) -> float | None:
    """Peak signal-to-noise ratio of values in [0, 1], over all elements; None where they are equal, and it is infinite."""
    error = (output.double() - expected.double()).square().mean().item()
    return None if error == 0 else -10 * log10(error)


def ssim(output: Tensor, expected: Tensor) -> float | None:
    """Structural similarity (Wang et al. 2004, IEEE TIP 13(4)): mean over images or frames, channels and windows.

    A Gaussian window of 11 x 11 with a sigma of 1.5, only where it fits into the image; constants for values in [0, 1]. None
    where an image is smaller than the window.
    """
    height, width = output.shape[-2:]
    if min(height, width) < WINDOW_SIZE:
        return None
    # Every channel of every frame is an image of its own; one after another, so that double precision fits the memory.
    pairs = zip(output.reshape(-1, height, width), expected.reshape(-1, height, width), strict=True)
    return sum(_ssim_of_plane(*pair) for pair in pairs) / (output.numel() // (height * width))


def _ssim_of_plane(one: Tensor, other: Tensor) -> float:
    x, y = one.double(), other.double()
    moments = _windowed(torch.stack([x, y, x * x, y * y, x * y]))
    mean_x, mean_y = moments[0], moments[1]
    variance_x, variance_y = moments[2] - mean_x**2, moments[3] - mean_y**2
    covariance = moments[4] - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x**2 + mean_y**2 + K1**2)
    structure = (2 * covariance + K2**2) / (variance_x + variance_y + K2**2)
    return (luminance * structure).mean().item()


def _windowed(planes: Tensor) -> Tensor:
    """Weighted means in the window of planes ``[N, H, W]``; the window is a product of one along rows and one along columns."""
    offsets = torch.arange(WINDOW_SIZE, dtype=torch.float64, device=planes.device) - WINDOW_SIZE // 2
    weights = torch.exp(-offsets.square() / (2 * WINDOW_SIGMA**2))
    weights = weights / weights.sum()
    rows = conv2d(planes[:, None], weights.view(1, 1, 1, -1))
    return conv2d(rows, weights.view(1, 1, -1, 1))[:, 0]


def _ratio(difference: float, size: float) -> float:
    return difference / size if size else float("inf")
