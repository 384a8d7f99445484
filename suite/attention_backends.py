"""Which kernels scaled_dot_product_attention may take, and in which order, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn.attention import SDPBackend


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
