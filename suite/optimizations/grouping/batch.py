"""A whole denoiser as one group: nothing in it looks from one element of the batch to another.

The two halves of classifier-free guidance are such elements, and so are several images or videos.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, arguments_by_name, stock
from suite.slicing.sliced import sliced


def batch_recipe(serves: type[nn.Module], output_class: Callable[..., Any]) -> Recipe:
    """Of a denoiser of diffusers, whose first argument is the batch.

    Args:
        output_class: of what it returns, unless asked for a tuple.
    """

    def run(module: nn.Module, plan: SlicePlan, *args: Any, **kwargs: Any) -> Any:
        arguments = arguments_by_name(module, args, kwargs)
        batch_size = arguments["sample"].shape[0]
        if min(batch_size, plan.batch_slices) == 1:
            return stock(module, **arguments)
        return_dict = arguments.pop("return_dict")
        output = by_batch(
            lambda **a: stock(module, **a, return_dict=False)[0], batch_size, plan.batch_slices, arguments
        )
        return output_class(sample=output) if return_dict else (output,)

    return Recipe(serves, run, rows_only=True)


def by_batch(function: Callable[..., Tensor], batch_size: int, count: int, arguments: dict[str, Any]) -> Tensor:
    """``function(**arguments)`` on a few elements of the batch at a time.

    Tensors among the arguments, however deep, belong to the batch if their rows are a multiple of it: some have a row for
    every frame.
    """
    leaves, structure = tree_flatten(arguments)
    rows = [_rows_of_batch(leaf, batch_size) for leaf in leaves]

    def run(*views: Tensor | None) -> Tensor:
        found = [leaf if view is None else view.flatten(0, 1) for leaf, view in zip(leaves, views, strict=True)]
        return function(**tree_unflatten(found, structure))

    return sliced(run, rows, 0, count, marked=False)


def _rows_of_batch(leaf: Any, batch_size: int) -> Tensor | None:
    if not isinstance(leaf, Tensor) or leaf.ndim == 0 or leaf.shape[0] % batch_size or not leaf.shape[0]:
        return None
    return leaf.unflatten(0, (batch_size, -1))
