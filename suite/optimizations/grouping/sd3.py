"""Stable Diffusion 3: blocks of two streams with weights of their own; the last block's text gives keys and values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers.models.attention import JointTransformerBlock
from diffusers.models.attention_processor import JointAttnProcessor2_0
from torch import Tensor

from suite.optimizations.grouping.attention_streams import (
    Adaptation,
    AdaptiveStream,
    DiffusersStream,
    Projections,
    computes_plainly,
    conditions,
)
from suite.optimizations.grouping.flux import adaptations
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, where
from suite.slicing.tokens import Stream, by_rows, run_streams


class ReadStream(DiffusersStream):
    """A text that is attended to for the last time."""

    answers = False

    def __init__(self, module: Any, tokens: Tensor, temb: Tensor) -> None:
        super().__init__(module.attn, tokens, Projections.of_added(module.attn))
        norm = module.norm1_context
        scale, shift = conditions(norm, temb.to(tokens.dtype), 2)
        self.first = Adaptation(norm.norm, shift, scale, scale)

    def enter(self, x: Tensor, where: slice) -> Tensor:
        return self.first(x, where)

    def leave(self, x: Tensor, entered: Tensor, attended: Tensor, where: slice) -> Tensor:
        raise AssertionError("nobody asks for the text after the last block")


def run_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    **unused: Any,
) -> tuple[Tensor | None, Tensor]:
    """The text's tokens, None after the last block, and the image's."""

    def rows(image: Tensor, text: Tensor, temb: Tensor) -> tuple[Tensor, ...]:
        of_image = adaptations(module.norm1, module.norm2, temb)
        seen = AdaptiveStream(module.attn, image, Projections.of(module.attn), *of_image, module.ff)
        read: Stream
        if module.context_pre_only:
            read = ReadStream(module, text, temb)
        else:
            of_text = adaptations(module.norm1_context, module.norm2_context, temb)
            read = AdaptiveStream(module.attn, text, Projections.of_added(module.attn), *of_text, module.ff_context)
        return run_streams(plan, (seen, read))

    image, *text = by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb))
    return (text[0] if text else None), image


def usual(module: Any, given: Mapping[str, Any]) -> bool:
    """Whether there is one attention, computed as ever, and nobody has asked for feed-forwards in chunks."""
    unusual = module.use_dual_attention or module._chunk_size is not None or given["joint_attention_kwargs"]
    return not unusual and computes_plainly(module.attn, JointAttnProcessor2_0)


RECIPES = (Recipe(JointTransformerBlock, where(usual, run_block)),)
