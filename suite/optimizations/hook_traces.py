"""What hooks of diffusers and accelerate leave on modules, kept before they are put on, so that nothing of them stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

ADDED = ("forward", "_diffusers_hook", "_hf_hook", "_old_forward")
"""Attributes that they leave on an instance. accelerate's taken off leave ``forward``; some of diffusers' refuse to go."""


def traces(root: nn.Module) -> Callable[[], None]:
    """What takes everything off `root` and its submodules that is put on from now on, last put on, first off."""
    before = [_Traces(module) for module in root.modules()]

    def restore() -> None:
        for one in before:
            one.restore()

    return restore


def hook_names(module: nn.Module) -> list[str]:
    """Names of diffusers' hooks on a module."""
    registry = vars(module).get("_diffusers_hook")
    return [] if registry is None else list(registry.hooks)


class _Traces:
    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._attributes = {key: vars(module)[key] for key in ADDED if key in vars(module)}
        registry: Any = self._attributes.get("_diffusers_hook")
        self._registry = registry
        self._kept = None if registry is None else [dict(registry.hooks), *map(list, _lists(registry))]

    def restore(self) -> None:
        for key in ADDED:
            vars(self._module).pop(key, None)
        vars(self._module).update(self._attributes)
        if self._kept is not None:  # it holds others' hooks: those that came later go
            self._registry.hooks, self._registry._hook_order, self._registry._fn_refs = self._kept


def _lists(registry: Any) -> tuple[list[Any], list[Any]]:
    return registry._hook_order, registry._fn_refs
