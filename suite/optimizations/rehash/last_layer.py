"""The last layer of an up block of diffusers, as a block of its own: whatever its kind, its class's forward runs one layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

RUNNING_ORDER = ("resnets", "temp_convs", "attentions", "temp_attentions", "motion_modules")
"""What an up block calls the operators of its layers, in the order in which a layer runs them."""


def operators(block: Any) -> list[tuple[str, nn.ModuleList]]:
    """The lists of a block that hold an operator for each of its layers, in the order in which a layer runs them."""
    return [
        (name, getattr(block, name)) for name in RUNNING_ORDER if isinstance(getattr(block, name, None), nn.ModuleList)
    ]


def last_layer(block: Any, **stands: nn.Module) -> nn.Module:
    """A block of the last layer of `block` alone: the same class, the same modules, no copies of weights.

    Args:
        stands: modules that stand in for an operator of that layer, by the name of its list.
    """
    tail = copy.copy(block)
    tail.__dict__ = {name: value for name, value in block.__dict__.items() if name != "forward"}
    tail._modules = dict(block._modules)
    for name, layers in operators(block):
        setattr(tail, name, nn.ModuleList([stands.get(name, layers[-1])]))
    return tail


class Held(nn.Module):
    """Gives kept features, whatever it is called with."""

    def __init__(self, features: Callable[[], Tensor]) -> None:
        super().__init__()
        self._features = features

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        del args, kwargs
        return self._features()


class PassedOn(nn.Module):
    """Gives what it gets, as attention modules do: the first of a tuple."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor]:
        del args, kwargs
        return (hidden_states,)
