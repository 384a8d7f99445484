"""A recipe: how one kind of module computes what it always computes, slice by slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

from suite.slicing.plan import SlicePlan

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Recipe:
    """The sliced forward of one kind of module.

    A recipe keeps nothing from one call to the next, and computes the module's output to rounding.
    """

    serves: type[nn.Module]
    """The very class of the modules; a subclass may compute something else."""
    run: Callable[..., Any]
    """``run(module, plan, *args, **kwargs)`` instead of ``module.forward(*args, **kwargs)``."""
    rows_only: bool = False
    """Whether it cuts nothing but the batch, or frames: a single image is left as it is."""
    cuts: bool = True
    """Whether it cuts anything itself; if not, it makes the most of slices that others cut, with activations in place."""


OF_RECIPE = "genscope_of_recipe"
"""Attribute of a forward that `put_on` has put on."""


def by_class(recipes: Iterable[Recipe]) -> Mapping[type, Recipe]:
    return {recipe.serves: recipe for recipe in recipes}


def find_recipes(root: nn.Module, recipes: Mapping[type, Recipe]) -> list[tuple[nn.Module, Recipe]]:
    """The modules in `root`, itself included, that a recipe serves."""
    served = [(module, recipes.get(own_class(module))) for module in root.modules()]
    return [(module, recipe) for module, recipe in served if recipe is not None]


def own_class(module: nn.Module) -> type[nn.Module]:
    """The class that a module was made as.

    Who watches or answers calls gives an instance a subclass of the same name and nothing more (`suite.stage.mark_calls`); such
    subclasses are looked through.
    """
    kind = type(module)
    while kind.__base__ is not None and kind.__qualname__ == kind.__base__.__qualname__ and "forward" not in vars(kind):
        kind = kind.__base__
    return kind


def named(modules: Iterable[nn.Module]) -> str:
    """How many modules of each class there are: ``2 Conv2d, 1 Linear``."""
    counts = Counter(own_class(module).__name__ for module in modules)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def stock(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """What `module` computes by its class alone; what its submodules do stays as it is."""
    return own_class(module).forward(module, *args, **kwargs)


_UNNAMED = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def arguments_by_name(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a call of `module`'s own forward, defaults included; those that its signature does not name are left out."""
    of_class = signature(own_class(module).forward)
    bound = of_class.bind(module, *args, **kwargs)
    bound.apply_defaults()
    _, *named_ones = (name for name, one in of_class.parameters.items() if one.kind not in _UNNAMED)
    return {name: bound.arguments[name] for name in named_ones}


def where(usual: Callable[[Any, Mapping[str, Any]], Any], run: Callable[..., Any]) -> Callable[..., Any]:
    """`run` of a recipe, given arguments by name; a call that is not `usual` is left to the module itself."""

    def checked(module: nn.Module, plan: SlicePlan, *args: Any, **kwargs: Any) -> Any:
        given = arguments_by_name(module, args, kwargs)
        return run(module, plan, **given) if usual(module, given) else stock(module, *args, **kwargs)

    return checked


def put_on(module: nn.Module, recipe: Recipe, plan: SlicePlan) -> Callable[[], None]:
    """Let `module` compute by `recipe`; returns what takes it off again.

    With gradients on, the module computes as it always did: slices written into one output have no gradient.
    """
    import torch

    before = module.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            return before(*args, **kwargs)
        return recipe.run(module, plan, *args, **kwargs)

    setattr(forward, OF_RECIPE, True)
    return replace_forward(module, forward)


def computes_by_own_code(module: nn.Module) -> bool:
    """Whether calls of `module` go to its class's forward or to a recipe's, which keep nothing from one call to the next."""
    forward = vars(module).get("forward")
    return own_class(module) is type(module) and (forward is None or hasattr(forward, OF_RECIPE))


def replace_forward(module: nn.Module, forward: Callable[..., Any]) -> Callable[[], None]:
    """Give this instance another ``forward``; returns what puts back what was there, an instance's own included."""
    held = vars(module)
    before = held.get("forward")
    held["forward"] = forward

    def undo() -> None:
        if before is None:
            held.pop("forward", None)
        else:
            held["forward"] = before

    return undo
