"""LPIPS, the distance of images as people see it (Zhang et al. 2018, arXiv 1801.03924), by its authors' package.

Its trunk is a network trained on ImageNet. torchvision fetches the weights, or finds them in torch's hub folder; without them
there is no LPIPS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from suite.workload import UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

NETWORKS = ("alex", "vgg", "squeeze")

Distance: TypeAlias = "Callable[[Tensor, Tensor], float]"
"""Mean distance of two outputs of the same shape, ``[B, 3, H, W]`` or ``[B, F, 3, H, W]`` in [0, 1]."""


def perceptual_distance(network: str) -> Distance:
    """LPIPS version 0.1 with one of `NETWORKS` as its trunk.

    Raises:
        UnsupportedError: the package or the trunk's weights are missing.
    """
    try:
        import lpips  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UnsupportedError(f"probe.fidelity.lpips={network} needs the package lpips: pip install lpips") from None
    except RuntimeError as error:  # a torchvision that was built for another torch
        raise UnsupportedError(f"the package lpips cannot be loaded: {_first_line(error)}") from None
    try:
        measure = lpips.LPIPS(net=network, verbose=False)
    except (OSError, RuntimeError) as error:  # no network to fetch them from, or a file that holds something else
        raise UnsupportedError(f"the weights of LPIPS's trunk {network} cannot be had: {_first_line(error)}") from None

    def distance(output: Tensor, expected: Tensor) -> float:
        import torch

        frames = [tensor.reshape(-1, *tensor.shape[-3:]).float().cpu() for tensor in (output, expected)]
        with torch.no_grad():  # frame by frame: a video's features at once would take more memory than the model
            pairs = zip(*(tensor.split(1) for tensor in frames), strict=True)
            values = [measure(*pair, normalize=True).item() for pair in pairs]
        return sum(values) / len(values)

    return distance


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
