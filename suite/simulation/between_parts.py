"""What a pipeline does to large tensors between its parts: counted like all else, and not computed.

A part hands out zeros, so what a scheduler makes of a megapixel of them says nothing; sorting it, as dynamic thresholding does
at every step, would be most of a simulation. Small tensors (time steps, noise levels, token ids) are what code decides by, and
those are computed, and so is what has no floating-point outcome: comparisons are there to be asked. The rest is zeros.

Models of tokens draw from probabilities, and zeros are none: of those only the drawing itself is not computed. Whichever token
comes, the next costs the same.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves, tree_map

from suite.simulation.fakes import tell
from suite.simulation.parts import Geometry, geometry, to_fake, unobserved, zeros
from suite.workload import Workload

LARGE = 1 << 15
"""Elements from which on ATen computes in threads (its grain size), which take turns with whatever else runs."""
RANDOM = ("aten::randn", "aten::rand")
DRAWING = ("aten::multinomial",)


class Answer(NamedTuple):
    """Zeros, one tensor or several in a container."""

    outputs: tuple[Geometry, ...]
    container: type | None

    def given(self) -> Any:
        found = [zeros(one) for one in self.outputs]
        return found[0] if self.container is None else self.container(found)


@dataclass(frozen=True)
class BetweenParts:
    """Runs operators on real tensors, or answers zeros of the shapes, strides and precisions that they would return.

    Args:
        mode: what tells those.
        draws: whether the workload draws from what it computes between parts.
    """

    mode: FakeTensorMode
    draws: bool
    _known: dict[tuple[Hashable, ...], Answer | None] = field(default_factory=dict)

    @classmethod
    def of(cls, workload: Workload, mode: FakeTensorMode) -> BetweenParts:
        return cls(mode, draws=not workload.family.startswith("diffusion"))

    def __call__(self, function: Any, args: Any, kwargs: Any) -> Any:
        if not self.means_nothing(function, args, kwargs):
            return function(*args, **kwargs)
        with unobserved():
            answer = self._answer(function, args, kwargs)
            if answer is not None:
                return answer.given()
        return function(*args, **kwargs)

    def _answer(self, function: Any, args: Any, kwargs: Any) -> Answer | None:
        """What such a call is answered; None where it is computed. The same to arguments of the same geometry."""
        told: list[Hashable] = [function, *kwargs]
        if not tell((*args, *kwargs.values()), told, [], of_real=True):
            return self._simulated(function, args, kwargs)
        key = tuple(told)
        if key not in self._known:
            self._known[key] = self._simulated(function, args, kwargs)
        return self._known[key]

    def _simulated(self, function: Any, args: Any, kwargs: Any) -> Answer | None:
        fake_args, fake_kwargs = tree_map(lambda leaf: to_fake(leaf, self.mode), (args, kwargs))
        with self.mode:
            output = function(*fake_args, **fake_kwargs)
        tensors = output if isinstance(output, (tuple, list)) else [output]
        if not any(one.is_floating_point() for one in tensors) and function._schema.name not in DRAWING:
            return None
        return Answer(tuple(geometry(one) for one in tensors), None if tensors is not output else type(output))

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
