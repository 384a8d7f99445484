"""What a pipeline does to large tensors between its parts: counted like all else, and not computed.

A part hands out zeros, so what a scheduler makes of a megapixel of them says nothing; sorting it, as dynamic thresholding does
at every step, would be most of a simulation. Small tensors (time steps, noise levels, token ids) are what code decides by, and
those are computed, and so is what has no floating-point outcome: comparisons are there to be asked. The rest is zeros.

Of diffusion alone: models of tokens draw from what lies between their parts, and zeros are no probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map

from suite.simulation.parts import to_fake, to_real, unobserved
from suite.workload import Workload

LARGE = 1 << 15
"""Elements from which on ATen computes in threads (its grain size), which take turns with whatever else runs."""
RANDOM = ("aten::randn", "aten::rand")


def may_stand_in(workload: Workload) -> bool:
    """Whether large tensors between the parts of `workload` hold nothing that it decides by."""
    return workload.family.startswith("diffusion")


def means_nothing(function: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operator only makes floating-point values of large real ones, or random ones."""
    if function._schema.name in RANDOM:
        return math.prod(args[0]) >= LARGE
    if function.is_view or function._schema.is_mutable or function._schema.name == "aten::_local_scalar_dense":
        return False
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    return any(tensor.numel() >= LARGE for tensor in tensors) and all(
        tensor.is_floating_point() and not isinstance(tensor, FakeTensor) for tensor in tensors
    )


def stand_in(function: Any, mode: FakeTensorMode) -> Callable[..., Any]:
    """Zeros of the shapes, strides and precisions that `function` would return; its own answer if it is no numbers."""

    def zeros(*args: Any, **kwargs: Any) -> Any:
        with unobserved():
            fake_args, fake_kwargs = tree_map(lambda leaf: to_fake(leaf, mode), (args, kwargs))
            with mode:
                output = function(*fake_args, **fake_kwargs)
            if any(leaf.is_floating_point() for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)):
                return tree_map(to_real, output)
        return function(*args, **kwargs)

    return zeros
