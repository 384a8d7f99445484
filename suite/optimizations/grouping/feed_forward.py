"""Feed-forwards of diffusers' transformers by tokens, wherever no larger group computes them."""

from __future__ import annotations

from typing import Any

from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from suite.optimizations.grouping.operators import by_tokens
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, stock
from suite.slicing.sliced import inside_slice


def run_feed_forward(module: nn.Module, plan: SlicePlan, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The projections and the activation between them, which is several times as wide as the tokens."""
    if inside_slice() or args or kwargs:
        return stock(module, hidden_states, *args, **kwargs)
    return by_tokens(module, plan, hidden_states)


RECIPES = (Recipe(FeedForward, run_feed_forward),)
