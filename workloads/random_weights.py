"""Seeded random weights: real architectures cost the same with any values, as long as no layer is left at zero.

Zero-initialised layers (AnimateDiff's motion outputs, zero convolutions) would hide both work done on them and mistakes in
it, since whatever reaches them comes out as nothing; they are drawn anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from suite.workload import Placement

REINITIALIZED_STD = 0.02
"""Standard deviation of redrawn weights, the usual one of transformer initialisation."""


@contextmanager
def seeded_construction(placement: Placement, seed: int) -> Iterator[None]:
    """Build modules inside this block on the right device, in the final data type, from `seed`; global state is restored.

    Building in the final type (instead of casting afterwards) keeps the peak at one copy of the weights.
    """
    before = torch.get_default_dtype()
    devices = [torch.cuda.current_device()] if placement.device == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.device(placement.device):
        torch.manual_seed(seed)
        torch.set_default_dtype(placement.dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def redraw_zero_weights(module: nn.Module) -> int:
    """Redraw every weight matrix or kernel that is zero throughout; biases may stay zero.

    Call inside `seeded_construction`. Returns how many were redrawn.
    """
    # Weights on the meta device have a shape and no values.
    zero = [w for w in module.parameters() if w.ndim > 1 and not w.is_meta and not w.any()]
    with torch.no_grad():
        for weight in zero:
            weight.normal_(std=REINITIALIZED_STD)
    return len(zero)
