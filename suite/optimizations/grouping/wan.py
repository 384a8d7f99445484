"""Wan: one stream of video tokens that attends to itself, then to the text; norms and residuals in float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers.models.transformers.transformer_wan import WanAttnProcessor, WanTransformerBlock
from torch import Tensor, nn

from suite.optimizations.grouping.attention_streams import (
    Adaptation,
    DiffusersStream,
    Projections,
    computes_plainly,
    turned_in_pairs,
)
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, where
from suite.slicing.tokens import by_rows, run_streams


class WanStream(DiffusersStream):
    """A block's tokens.

    Args:
        block: whose they are.
        tokens: ``[B, N, D]``.
        text: ``[B, T, D]``.
        temb: ``[B, 6, D]``, or ``[B, N, 6, D]`` where each token has a time step of its own.
        positions: cosines and sines, ``[1, N, 1, K]`` each.
    """

    def __init__(
        self, block: Any, tokens: Tensor, text: Tensor, temb: Tensor, positions: tuple[Tensor, Tensor]
    ) -> None:
        super().__init__(block.attn1, tokens, Projections.of(block.attn1))
        of_tokens = temb if temb.ndim == 4 else temb[:, None]
        parts = (block.scale_shift_table[None] + of_tokens.float()).unbind(dim=2)
        self.first, self.second = Adaptation(block.norm1, *parts[:3]), Adaptation(block.norm3, *parts[3:])
        self.block, self.text, self.positions = block, text, positions

    def enter(self, x: Tensor, where: slice) -> Tensor:
        return self.first(x.float(), where).type_as(x)

    def leave(self, x: Tensor, entered: Tensor, attended: Tensor, where: slice) -> Tensor:
        block = self.block
        x = (x.float() + self.first.gated(attended, where)).type_as(x)
        x = x + block.attn2(block.norm2(x.float()).type_as(x), self.text, None, None)
        adapted = self.second(x.float(), where).type_as(x)
        return (x.float() + self.second.gated(block.ffn(adapted).float(), where)).type_as(x)

    def placed(self, x: Tensor, norm: nn.Module | None, where: slice) -> Tensor:
        """Normalized across heads, then turned."""
        x = self._heads(x if norm is None else norm(x))
        return turned_in_pairs(x, self.positions, where)


def run_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    rotary_emb: tuple[Tensor, Tensor],
) -> Tensor:
    """``[B, N, D]``."""

    def rows(video: Tensor, text: Tensor, temb: Tensor) -> tuple[Tensor, ...]:
        return run_streams(plan, [WanStream(module, video, text, temb, rotary_emb)])

    return by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb))[0]


def usual(module: Any, given: Mapping[str, Any]) -> bool:
    return all(computes_plainly(attention, WanAttnProcessor) for attention in (module.attn1, module.attn2))


RECIPES = (Recipe(WanTransformerBlock, where(usual, run_block)),)
