"""Recipes: found by class, put on an instance, taken off again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import (
    Recipe,
    arguments_by_name,
    by_class,
    find_recipes,
    named,
    own_class,
    put_on,
    replace_forward,
    stock,
    where,
)
from suite.stage import mark_calls


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # torch's name for it
        return 2 * super().forward(input)


def run(module: nn.Module, plan: SlicePlan, x: Tensor) -> Tensor:
    return stock(module, x) + plan.frame_slices


def test_a_recipe_serves_its_very_class_even_where_calls_are_marked() -> None:
    model = nn.Sequential(nn.Linear(2, 2), Doubled(2, 2), nn.SiLU())
    mark_calls(model[0], "decode")
    mark_calls(model[0], "generate")
    recipes = by_class([Recipe(nn.Linear, run)])
    assert [module for module, _ in find_recipes(model, recipes)] == [model[0]]
    assert own_class(model[0]) is nn.Linear
    assert own_class(model[1]) is Doubled


def test_put_on_and_taken_off() -> None:
    layer, x = nn.Linear(3, 3), torch.randn(2, 3)
    with torch.inference_mode():
        before = layer(x)
        undo = put_on(layer, Recipe(nn.Linear, run), SlicePlan(frame_slices=5))
        assert torch.equal(layer(x), before + 5)
        undo()
        assert torch.equal(layer(x), before)
    assert "forward" not in vars(layer)


def test_with_gradients_a_module_computes_as_before() -> None:
    layer, x = nn.Linear(3, 3).double(), torch.randn(2, 3, dtype=torch.float64)
    put_on(layer, Recipe(nn.Linear, run), SlicePlan(frame_slices=5))
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        assert torch.allclose(layer(x) - 5, nn.functional.linear(x, layer.weight, layer.bias), atol=1e-12)


def test_a_forward_that_an_instance_had_already_comes_back() -> None:
    layer = nn.Linear(3, 3)

    def theirs(x: Any) -> Any:
        return x

    layer.forward = theirs
    undo = replace_forward(layer, lambda x: x + 1)
    assert torch.equal(layer(torch.zeros(1)), torch.ones(1))
    undo()
    assert layer.forward is theirs


class Scaled(nn.Module):
    def forward(self, x: Tensor, factor: float = 2.0, *others: Any, mask: Tensor | None = None, **more: Any) -> Tensor:
        return x * factor if mask is None else x * mask


def test_arguments_by_name_have_defaults_and_nothing_that_the_signature_leaves_open() -> None:
    x = torch.ones(2)
    assert arguments_by_name(Scaled(), (x,), {}) == {"x": x, "factor": 2.0, "mask": None}
    assert arguments_by_name(Scaled(), (x, 3.0, "other"), {"more": 1}) == {"x": x, "factor": 3.0, "mask": None}


def test_a_call_that_is_not_usual_is_left_to_the_module_with_all_its_arguments() -> None:
    seen: list[dict[str, Any]] = []

    def usual(module: Any, given: Any) -> bool:
        seen.append(dict(given))
        return given["mask"] is None

    recipe = Recipe(Scaled, where(usual, lambda module, plan, x, factor, mask: x + factor))
    module, x = Scaled(), torch.ones(2)
    put_on(module, recipe, SlicePlan())
    with torch.no_grad():
        assert torch.equal(module(x, 5.0), x + 5)
        assert torch.equal(module(x, 5.0, "other", mask=torch.zeros(2), more=1), torch.zeros(2))
    assert [given["factor"] for given in seen] == [5.0, 5.0]


def test_modules_are_named_by_class_with_their_number() -> None:
    assert named([nn.Linear(1, 1), nn.SiLU(), nn.Linear(1, 1)]) == "2 Linear, 1 SiLU"
