"""What a pipeline does to large tensors between its parts: counted like all else, and not computed.

A part hands out zeros, so what a scheduler makes of a megapixel of them says nothing; sorting it, as dynamic thresholding does
at every step, would be most of a simulation. Small tensors (time steps, noise levels, token ids) are what code decides by, and
those are computed, and so is what has no floating-point outcome: comparisons are there to be asked. The rest is zeros.

Models of tokens draw from probabilities, and zeros are none: of those only the drawing itself is not computed. Whichever token
comes, the next costs the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map

from suite.simulation.parts import to_fake, to_real, unobserved
from suite.workload import Workload

LARGE = 1 << 15
"""Elements from which on ATen computes in threads (its grain size), which take turns with whatever else runs."""
RANDOM = ("aten::randn", "aten::rand")
DRAWING = ("aten::multinomial",)


@dataclass(frozen=True)
class BetweenParts:
    """Runs operators on real tensors, or answers zeros of the shapes, strides and precisions that they would return.

    Args:
        mode: what tells those.
        draws: whether the workload draws from what it computes between parts.
    """

    mode: FakeTensorMode
    draws: bool

    @classmethod
    def of(cls, workload: Workload, mode: FakeTensorMode) -> BetweenParts:
        return cls(mode, draws=not workload.family.startswith("diffusion"))

    def __call__(self, function: Any, args: Any, kwargs: Any) -> Any:
        if not self.means_nothing(function, args, kwargs):
            return function(*args, **kwargs)
        with unobserved():
            fake_args, fake_kwargs = tree_map(lambda leaf: to_fake(leaf, self.mode), (args, kwargs))
            with self.mode:
                output = function(*fake_args, **fake_kwargs)
            has_numbers = any(
                isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in tree_leaves(output)
            )
            if has_numbers or function._schema.name in DRAWING:
                return tree_map(to_real, output)
        return function(*args, **kwargs)

    def means_nothing(self, function: Any, args: Any, kwargs: Any) -> bool:
        """Whether an operator only makes floating-point values of large real ones, random ones, or draws."""
        name = function._schema.name
        if name in RANDOM:
            return math.prod(args[0]) >= LARGE
        if function.is_view or function._schema.is_mutable or name == "aten::_local_scalar_dense":
            return False
        if self.draws and name not in DRAWING:
            return False
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        return any(tensor.numel() >= LARGE for tensor in tensors) and all(
            tensor.is_floating_point() and not isinstance(tensor, FakeTensor) for tensor in tensors
        )
