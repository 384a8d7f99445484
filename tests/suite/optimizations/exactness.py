"""Recipes put on a model, and how far its output is then from what it was without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, find_recipes, put_on

BOUND = {torch.float32: 1e-5, torch.float64: 1e-12}
"""Relative error that is rounding."""


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference over largest value."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    return ((found - expected).abs().max() / expected.abs().max()).item()


@contextmanager
def sliced_by(model: nn.Module, recipes: Mapping[type, Recipe], plan: SlicePlan) -> Iterator[set[type]]:
    """With the recipes on; gives the classes that they serve in `model`."""
    served = find_recipes(model, recipes)
    with ExitStack() as undo:
        for module, recipe in served:
            undo.callback(put_on(module, recipe, plan))
        yield {recipe.serves for _, recipe in served}


def check_exact(
    model: nn.Module,
    call: Callable[[], Tensor],
    recipes: Mapping[type, Recipe],
    plan: SlicePlan,
    bounds: Mapping[torch.dtype, float] = BOUND,
) -> None:
    """The output is the unsliced one to rounding, and that very one again once the recipes are off."""
    with torch.inference_mode():
        expected = call()
        with sliced_by(model, recipes, plan) as served:
            assert served, "a recipe that serves nothing is exact by itself"
            assert error(call(), expected) <= bounds[expected.dtype]
        assert torch.equal(call(), expected), "taking it off puts everything back"
