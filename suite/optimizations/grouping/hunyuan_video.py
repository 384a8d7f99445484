"""HunyuanVideo: Flux's two kinds of blocks; positions turn the video's tokens only, and padding of the text is masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers.models.transformers.transformer_hunyuan_video import (
    HunyuanVideoAttnProcessor2_0,
    HunyuanVideoSingleTransformerBlock,
    HunyuanVideoTransformerBlock,
)
from torch import Tensor

from suite.optimizations.grouping.attention_streams import (
    Adaptation,
    AdaptiveStream,
    ParallelStream,
    Projections,
    computes_plainly,
    conditions,
    rotary,
)
from suite.optimizations.grouping.flux import adaptations
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, where
from suite.slicing.tokens import by_rows, run_streams


def run_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    attention_mask: Tensor | None,
    freqs_cis: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """The video's tokens and the text's."""

    def rows(video: Tensor, text: Tensor, temb: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
        of_video = adaptations(module.norm1, module.norm2, temb)
        of_text = adaptations(module.norm1_context, module.norm2_context, temb)
        own, added = Projections.of(module.attn), Projections.of_added(module.attn)
        streams = (
            AdaptiveStream(module.attn, video, own, *of_video, module.ff, rotary(freqs_cis)),
            AdaptiveStream(module.attn, text, added, *of_text, module.ff_context),
        )
        return run_streams(plan, streams, mask)

    video, text = by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb, attention_mask))
    return video, text


def run_single_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    attention_mask: Tensor | None,
    image_rotary_emb: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """As `run_block`; video and text are never one tensor."""

    def rows(video: Tensor, text: Tensor, temb: Tensor, mask: Tensor | None) -> tuple[Tensor, ...]:
        first = Adaptation(module.norm.norm, *conditions(module.norm, temb, 3))
        streams = ParallelStream(module, video, first, rotary(image_rotary_emb)), ParallelStream(module, text, first)
        return run_streams(plan, streams, mask)

    video, text = by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb, attention_mask))
    return video, text


def usual(module: Any, given: Mapping[str, Any]) -> bool:
    """Whether attention is the usual one, and its mask the same for all queries: ``[B, 1, 1, S]``."""
    mask = given["attention_mask"]
    same_for_all = mask is None or (mask.ndim == 4 and mask.shape[1:3] == (1, 1))
    return same_for_all and computes_plainly(module.attn, HunyuanVideoAttnProcessor2_0)


RECIPES = (
    Recipe(HunyuanVideoTransformerBlock, where(usual, run_block)),
    Recipe(HunyuanVideoSingleTransformerBlock, where(usual, run_single_block)),
)
