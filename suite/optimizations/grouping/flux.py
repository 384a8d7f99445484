"""Flux: blocks of two streams with weights of their own, then blocks of one stream with an MLP beside attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.transformers.transformer_flux import (
    FluxAttnProcessor,
    FluxSingleTransformerBlock,
    FluxTransformerBlock,
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
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, where
from suite.slicing.tokens import by_rows, run_streams

LARGEST_HALF = 65504
"""What these blocks clip half precision to."""


def run_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    image_rotary_emb: tuple[Tensor, Tensor] | None,
    **unused: Any,
) -> tuple[Tensor, Tensor]:
    """The text's tokens and the image's, ``[B, T, D]`` and ``[B, N, D]``."""

    def rows(image: Tensor, text: Tensor, temb: Tensor) -> tuple[Tensor, ...]:
        of_text = adaptations(module.norm1_context, module.norm2_context, temb)
        of_image = adaptations(module.norm1, module.norm2, temb)
        added, own = Projections.of_added(module.attn), Projections.of(module.attn)
        at_text, at_image = rotary(image_rotary_emb), rotary(image_rotary_emb, text.shape[1])
        streams = (
            AdaptiveStream(module.attn, text, added, *of_text, module.ff_context, at_text),
            AdaptiveStream(module.attn, image, own, *of_image, module.ff, at_image),
        )
        return run_streams(plan, streams)

    text, image = by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb))
    return clipped(text), image


def run_single_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    temb: Tensor,
    image_rotary_emb: tuple[Tensor, Tensor] | None,
    **unused: Any,
) -> tuple[Tensor, Tensor]:
    """As `run_block`; text and image are never one tensor."""

    def rows(image: Tensor, text: Tensor, temb: Tensor) -> tuple[Tensor, ...]:
        first = Adaptation(module.norm.norm, *conditions(module.norm, temb, 3))
        at_text, at_image = rotary(image_rotary_emb), rotary(image_rotary_emb, text.shape[1])
        streams = ParallelStream(module, text, first, at_text), ParallelStream(module, image, first, at_image)
        return run_streams(plan, streams)

    text, image = by_rows(plan, rows, (hidden_states, encoder_hidden_states, temb))
    return clipped(text), clipped(image)


def adaptations(norm1: Any, norm2: Any, temb: Tensor) -> tuple[Adaptation, Adaptation]:
    """Of a stream whose first norm (AdaLayerNormZero) makes the conditions of both."""
    shift, scale, gate, *of_second = conditions(norm1, temb, 6)
    return Adaptation(norm1.norm, shift, scale, gate), Adaptation(norm2, *of_second)


def clipped(x: Tensor) -> Tensor:
    return x.clip_(-LARGEST_HALF, LARGEST_HALF) if x.dtype == torch.float16 else x


def usual(module: Any, given: Mapping[str, Any]) -> bool:
    return not given["joint_attention_kwargs"] and computes_plainly(module.attn, FluxAttnProcessor)


RECIPES = (
    Recipe(FluxTransformerBlock, where(usual, run_block)),
    Recipe(FluxSingleTransformerBlock, where(usual, run_single_block)),
)
