"""CogVideoX: two streams that share all weights but those of their adaptive norms' conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock
from torch import Tensor

from suite.optimizations.grouping.attention_streams import (
    Adaptation,
    AdaptiveStream,
    Projections,
    computes_plainly,
    conditions,
    rotary,
)
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, where
from suite.slicing.tokens import by_rows, run_streams


def run_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    image_rotary_emb: tuple[Tensor, Tensor] | None,
    **unused: Any,
) -> tuple[Tensor, Tensor]:
    """The video's tokens and the text's; positions turn the video's only."""

    def rows(video: Tensor, text: Tensor, temb: Tensor) -> tuple[Tensor, ...]:
        (first, first_of_text), (second, second_of_text) = (
            adaptations(norm, temb) for norm in (module.norm1, module.norm2)
        )
        own = Projections.of(module.attn1)
        streams = (
            AdaptiveStream(module.attn1, text, own, first_of_text, second_of_text, module.ff),
            AdaptiveStream(module.attn1, video, own, first, second, module.ff, rotary(image_rotary_emb)),
        )
        return run_streams(plan, streams)

    text, video = by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb))
    return video, text


def adaptations(norm: Any, temb: Tensor) -> tuple[Adaptation, Adaptation]:
    """Of video and text."""
    parts = conditions(norm, temb, 6)
    return Adaptation(norm.norm, *parts[:3]), Adaptation(norm.norm, *parts[3:])


def usual(module: Any, given: Mapping[str, Any]) -> bool:
    return not given["attention_kwargs"] and computes_plainly(module.attn1, CogVideoXAttnProcessor2_0)


RECIPES = (Recipe(CogVideoXBlock, where(usual, run_block)),)
