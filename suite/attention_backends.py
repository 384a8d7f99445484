"""Which kernels scaled_dot_product_attention may take, on which GPUs, and in which order, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn.attention import SDPBackend

Capability = tuple[int, int]
"""Of an NVIDIA GPU: 9.0 is ``(9, 0)``."""
OLDEST: dict[str, Capability] = {"flash": (8, 0), "efficient": (5, 0), "cudnn": (8, 0)}
"""GPUs that each fused kernel begins with. Math is on all (torch 2.11 to 2.13, check_*_hardware_support in sdp_utils.cpp)."""
NEWEST: Capability = (12, 1)
"""GPUs that all fused kernels end with."""


def capability_of(text: str | None) -> Capability | None:
    """``9.0`` as numbers."""
    if text is None:
        return None
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def exists_on(kernel: str, capability: Capability) -> bool:
    """Whether torch has a kernel (``math``, ``flash``, ``efficient``, ``cudnn``) for such a GPU."""
    return kernel not in OLDEST or OLDEST[kernel] <= capability <= NEWEST


@contextmanager
def preferring(backends: Sequence[SDPBackend]) -> Iterator[None]:
    """Allow these kernels alone, the first that takes a call; afterwards everything is as it was.

    `torch.nn.attention.sdpa_kernel` puts back the order of those kernels alone that were allowed before: inside a block
    that allows one, as a pipeline may have it, the order of all others stayed changed for good.
    """
    import torch
    from torch.nn.attention import sdpa_kernel

    before = torch._C._get_sdp_priority_order()
    try:
        with sdpa_kernel(list(backends), set_priority=True):
            yield
    finally:
        torch._C._set_sdp_priority_order(before)
