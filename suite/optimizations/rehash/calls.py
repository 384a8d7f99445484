"""Calls of modules, seen and answered from outside: without their forward where the answer is known already.

The instance gets a subclass of its own, as `suite.stage.mark_calls` gives it: hooks cannot keep a forward from running, and
replacing ``forward`` would collide with whoever replaces it too (grouped operators, libraries' own hooks).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

Call = Callable[..., Any]
Around = Callable[[Call, tuple[Any, ...], dict[str, Any]], Any]
"""Told of a call: the call itself, and its arguments. What it returns is what the caller gets."""


def answer_calls(module: nn.Module, around: Around) -> Callable[[], None]:
    """Send every ``module(...)`` through `around`; gives back the function that ends this, last come, first gone."""
    original = type(module)

    def answered_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return around(lambda *a, **k: original.__call__(self, *a, **k), args, kwargs)

    namespace = {"__call__": answered_call, "__module__": original.__module__, "__qualname__": original.__qualname__}
    module.__class__ = type(original.__name__, (original,), namespace)

    def restore() -> None:
        module.__class__ = original

    return restore


def empty_batch(output: Any) -> Any:
    """What stands for an output that nobody will look into: the same tensors with a batch of none, of no memory."""
    return tree_map(lambda leaf: leaf.new_empty((0, *leaf.shape[1:])) if isinstance(leaf, Tensor) else leaf, output)


def same_shape(output: Any) -> Any:
    """What stands for an output whose shape is looked at: the same tensors as views of a single zero."""
    return tree_map(lambda leaf: leaf.new_zeros(()).expand(leaf.shape) if isinstance(leaf, Tensor) else leaf, output)


def joined(outputs: list[Any]) -> Tensor:
    """Features ``[B, ...]`` that a module gave in one call, or in several over slices of the batch.

    Where it gives several tensors, such as features of an image and of its text, the largest is meant.
    """
    tensors = [max(_tensors(output), key=Tensor.numel) for output in outputs]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors)


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
