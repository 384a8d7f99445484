"""LTX-Video: one stream of video tokens that attends to itself, then to the text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers.models.transformers.transformer_ltx import (
    LTXVideoAttnProcessor,
    LTXVideoTransformerBlock,
    apply_rotary_emb,
)
from torch import Tensor, nn

from suite.optimizations.grouping.attention_streams import (
    Adaptation,
    AdaptiveStream,
    Projections,
    computes_plainly,
)
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, where
from suite.slicing.tokens import by_rows, run_streams


class LTXStream(AdaptiveStream):
    """A block's tokens; queries and keys are normalized and turned before they are divided among heads."""

    def placed(self, x: Tensor, norm: nn.Module | None, where: slice) -> Tensor:
        x = x if norm is None else norm(x)
        return self._heads(x if self.rotate is None else self.rotate(x, where))


def run_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    image_rotary_emb: tuple[Tensor, Tensor] | None,
    encoder_attention_mask: Tensor | None,
) -> Tensor:
    """``[B, N, D]``."""
    batch_size = len(hidden_states)
    positions = image_rotary_emb or (None, None)
    cosines, sines = (part if part is None else part.expand(batch_size, -1, -1) for part in positions)

    def rows(
        video: Tensor, text: Tensor, temb: Tensor, mask: Tensor | None, cosines: Tensor | None, sines: Tensor | None
    ) -> tuple[Tensor, ...]:
        def across(x: Tensor) -> Tensor:
            return module.attn2(x, encoder_hidden_states=text, image_rotary_emb=None, attention_mask=mask)

        def rotate(x: Tensor, where: slice) -> Tensor:
            assert cosines is not None
            assert sines is not None
            return apply_rotary_emb(x, (cosines[:, where], sines[:, where]))

        parts = (module.scale_shift_table + temb.unflatten(-1, module.scale_shift_table.shape)).unbind(dim=2)
        first, second = Adaptation(module.norm1, *parts[:3]), Adaptation(module.norm2, *parts[3:])
        turning = None if cosines is None else rotate
        own = Projections.of(module.attn1)
        return run_streams(plan, [LTXStream(module.attn1, video, own, first, second, module.ff, turning, across)])

    inputs = (hidden_states, encoder_hidden_states, temb, encoder_attention_mask, cosines, sines)
    return by_rows(plan, rows, inputs)[0]


def usual(module: Any, given: Mapping[str, Any]) -> bool:
    return all(computes_plainly(attention, LTXVideoAttnProcessor) for attention in (module.attn1, module.attn2))


RECIPES = (Recipe(LTXVideoTransformerBlock, where(usual, run_block)),)
