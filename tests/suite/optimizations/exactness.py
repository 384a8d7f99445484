"""What exact means: as far from the float64 output as the unchanged model is, give or take the rounding of other kernels.

A changed model adds the same numbers in another order, or is given other kernels for the smaller shapes that it computes on.
How much that rounds depends on the processor, so no fixed bound on a float32 output holds everywhere; a float64 reference of
the unchanged model tells, wherever a test runs, what rounding amounts to there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, find_recipes, put_on

DTYPES = (torch.float32, torch.float64)
"""In which exactness is checked; half precision rounds so much that mistakes would pass."""
MULTIPLE = 8
"""How many times as far from the reference as the unchanged output an exact one may be. Both errors are sums of the same number
of roundings, so of one size, but not equal: the largest of a few elements scatters, and a kernel that adds one by one rounds
several times as much as one that adds in blocks or vectors. Of 1,588 outputs in float32, computed by SSE4.1, AVX2 and AVX-512
kernels, the farthest was 2.9 times as far off as the unchanged one. A mistake is off by thousands of times that."""
FLOOR = 4
"""Epsilons of its type that an output may be off where the unchanged one happens to be nearly the reference itself."""
FLOAT64_BOUND = 1e-12
"""Relative error in float64: some thousand epsilons, ten million times less than float32 could tell apart."""


def normal(*shape: int, dtype: torch.dtype) -> Tensor:
    """Random inputs that bfloat16 holds, so that a model is given the same numbers in every type."""
    return torch.randn(shape).bfloat16().to(dtype)


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference over largest value."""
    assert found.shape == expected.shape
    return ((found.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


def allowed_error(unchanged: Tensor, reference: Tensor) -> float:
    """How far from `reference` an output is that is `unchanged` but for rounding.

    Args:
        unchanged: output of the unchanged model, in the type that is checked.
        reference: the same in float64.
    """
    if unchanged.dtype == torch.float64:
        return FLOAT64_BOUND
    return max(MULTIPLE * error(unchanged, reference), FLOOR * torch.finfo(unchanged.dtype).eps)


def assert_exact(found: Tensor, unchanged: Tensor, reference: Tensor) -> None:
    """`found` is `unchanged` to rounding, see `allowed_error`."""
    assert found.dtype == unchanged.dtype
    assert error(found, reference) <= allowed_error(unchanged, reference)


def output_in_float64(model: nn.Module, caller: Callable[[Any], Callable[[], Tensor]]) -> Tensor:
    """What a copy of `model` in float64 gives, with the same weights.

    Args:
        caller: makes a call of a model, with inputs of the model's type and the same values in each (see `normal`).
    """
    with torch.inference_mode():
        return caller(deepcopy(model).double())()


@contextmanager
def sliced_by(model: nn.Module, recipes: Mapping[type, Recipe], plan: SlicePlan) -> Iterator[set[type]]:
    """With the recipes on; gives the classes that they serve in `model`."""
    served = find_recipes(model, recipes)
    with ExitStack() as undo:
        for module, recipe in served:
            undo.callback(put_on(module, recipe, plan))
        yield {recipe.serves for _, recipe in served}


def check_exact(
    model: nn.Module, caller: Callable[[Any], Callable[[], Tensor]], recipes: Mapping[type, Recipe], plan: SlicePlan
) -> None:
    """The output is the unsliced one to rounding, and that very one again once the recipes are off.

    Args:
        caller: as `output_in_float64` takes it.
    """
    call = caller(model)
    with torch.inference_mode(), _nothing_below(next(model.parameters()).dtype):
        expected = call()
        with sliced_by(model, recipes, plan) as served:
            assert served, "a recipe that serves nothing is exact by itself"
            found = call()
        assert torch.equal(call(), expected), "taking it off puts everything back"
    reference = expected if expected.dtype == torch.float64 else output_in_float64(model, caller)
    assert_exact(found, expected, reference)


def _nothing_below(dtype: torch.dtype) -> Any:
    """In float64 all of it: diffusers' linear attention sums in float32 whatever its input, and would be exact to that only."""
    return patch.object(Tensor, "float", Tensor.double) if dtype == torch.float64 else nullcontext()


def cast_to_float64(workload: Any) -> Any:
    """`workload` itself, which nobody else may use: its weights and all it computes with are of float64 from now on.

    The weights are the same numbers, and so is its noise, which is drawn in float32 as ever.
    """
    for part in workload.parts.values():
        part.double()
    workload.placement = replace(workload.placement, precision="float64")
    generate = workload.generate

    def generate_from_the_same_noise() -> Tensor:
        with _DrawnInFloat32():
            return generate()

    workload.generate = generate_from_the_same_noise
    return workload


class _DrawnInFloat32(TorchFunctionMode):
    """Another type is given other random numbers by the same seed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func in (torch.randn, torch.rand) and given.get("dtype") == torch.float64:
            return func(*args, **given | {"dtype": torch.float32}).double()
        return func(*args, **given)
