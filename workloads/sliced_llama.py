"""How a layer of LLaMA computes slice by slice: what follows attention, a few tokens at a time.

Its causal attention stays whole: the prompt is read once, and a fused kernel keeps no scores.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, by_class, stock
from suite.slicing.sliced import sliced
from suite.slicing.tokens import TOKENS


def run_layer(layer: LlamaDecoderLayer, plan: SlicePlan, hidden_states: Tensor, **kwargs: Any) -> Tensor:
    """Norm and attention whole; residual, norm, MLP and residual by tokens, over attention's output."""
    count = plan.affordable(plan.token_slices, hidden_states.numel())
    if min(count, hidden_states.shape[TOKENS]) == 1:
        return stock(layer, hidden_states, **kwargs)
    attended, _ = layer.self_attn(hidden_states=layer.input_layernorm(hidden_states), **kwargs)

    def leave(x: Tensor, attended: Tensor) -> Tensor:
        x = x + attended
        return x.add_(layer.mlp(layer.post_attention_layernorm(x)))

    return sliced(leave, [hidden_states, attended], TOKENS, count, out=attended)


SLICING_RECIPES = by_class((Recipe(LlamaDecoderLayer, run_layer),))
