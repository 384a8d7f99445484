"""Sana and Sana-Video: linear attention by tokens, twice, and convolutions of a gated feed-forward by rows of pixels or frames.

    [norm, keys x values, summed] by tokens | [norm, queries, attention, residual, cross attention] by tokens |
    [norm, convolutions, gate, residual] by rows of pixels with one more on either side (image), or by frames, then
    [convolution along time, residual] by pixels (video)

Linear attention has no softmax over keys: all that queries need of them is one small matrix a head, a sum over tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers.models.attention_processor import SanaLinearAttnProcessor2_0
from diffusers.models.transformers.sana_transformer import GLUMBConv, SanaAttnProcessor2_0, SanaTransformerBlock
from diffusers.models.transformers.transformer_sana_video import (
    GLUMBTempConv,
    SanaLinearAttnProcessor3_0,
    SanaVideoTransformerBlock,
)
from diffusers.models.transformers.transformer_sana_video import SanaAttnProcessor2_0 as VideoAttnProcessor
from torch import Tensor
from torch.nn import functional

from suite.optimizations.grouping.attention_streams import Adaptation, computes_plainly
from suite.optimizations.grouping.linear_attention import LinearAttention, attend_linearly
from suite.slicing.plan import SlicePlan, cuts
from suite.slicing.recipe import Recipe, where
from suite.slicing.sliced import computing_slice, sliced
from suite.slicing.tokens import by_rows


def run_image_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None,
    encoder_attention_mask: Tensor | None,
    timestep: Tensor,
    width: int,
    **unused: Any,
) -> Tensor:
    """``[B, H * W, D]``."""

    def rows(x: Tensor, text: Tensor | None, mask: Tensor | None, timestep: Tensor) -> tuple[Tensor, ...]:
        first, second = adaptations(module, timestep[:, None])
        x = attend_linearly(plan, LinearAttention(module, first, None), x, text, mask)
        return (feed_forward_by_rows(plan, module.ff, second, x, width),)

    return by_rows(plan, rows, (hidden_states, encoder_hidden_states, encoder_attention_mask, timestep))[0]


def run_video_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None,
    encoder_attention_mask: Tensor | None,
    timestep: Tensor,
    frames: int,
    height: int,
    width: int,
    rotary_emb: tuple[Tensor, Tensor],
    **unused: Any,
) -> Tensor:
    """``[B, F * H * W, D]``."""

    def rows(x: Tensor, text: Tensor | None, mask: Tensor | None, timestep: Tensor) -> tuple[Tensor, ...]:
        first, second = adaptations(module, timestep)
        x = attend_linearly(plan, LinearAttention(module, first, rotary_emb), x, text, mask)
        return (feed_forward_by_frames(plan, module.ff, second, x, (frames, height, width)),)

    return by_rows(plan, rows, (hidden_states, encoder_hidden_states, encoder_attention_mask, timestep))[0]


def adaptations(module: Any, timestep: Tensor) -> tuple[Adaptation, Adaptation]:
    """Of attention and of the feed-forward, from ``[B, 1 or N, 6 * D]``."""
    parts = (module.scale_shift_table + timestep.unflatten(-1, module.scale_shift_table.shape)).unbind(dim=2)
    return Adaptation(module.norm1, *parts[:3]), Adaptation(module.norm2, *parts[3:])


def feed_forward_by_rows(plan: SlicePlan, ff: Any, second: Adaptation, x: Tensor, width: int) -> Tensor:
    """Norm, feed-forward, gate and residual of an image ``[B, H * W, D]``, some rows of pixels at a time.

    The 3 x 3 convolution looks one row further on either side, so the neighbouring rows are computed, too; beyond the image
    there are zeros.
    """
    height = x.shape[1] // width
    output = torch.empty_like(x)
    for start, stop in cuts(height, plan.affordable(plan.token_slices, x.numel())):
        first, last = max(start - 1, 0), min(stop + 1, height)
        with computing_slice():
            seen = slice(first * width, last * width)
            pixels = second(x[:, seen], seen).unflatten(1, (-1, width)).permute(0, 3, 1, 2)
            wide = functional.silu(ff.conv_inverted(pixels))
            beyond = functional.pad(wide, (0, 0, int(start == 0), int(stop == height)))
            depth = ff.conv_depth
            wide = functional.conv2d(beyond, depth.weight, depth.bias, padding=(0, 1), groups=depth.groups)
            where = slice(start * width, stop * width)
            made = second.gated(_gated(ff, wide).flatten(2).transpose(1, 2), where)
            output[:, where] = x[:, where] + made
        del pixels, wide, beyond, made
    return output


def feed_forward_by_frames(
    plan: SlicePlan, ff: Any, second: Adaptation, x: Tensor, grid: tuple[int, int, int]
) -> Tensor:
    """The same of a video: convolutions within frames by frames, the one along time with all that follows by pixels."""
    num_frames, height, width = grid
    tokens_of_frame = height * width
    whole = torch.empty_like(x)
    for start, stop in cuts(num_frames, plan.affordable(plan.frame_slices, x.numel())):
        where = slice(start * tokens_of_frame, stop * tokens_of_frame)
        with computing_slice():
            pixels = second(x[:, where], where).unflatten(1, (-1, height, width)).flatten(0, 1).permute(0, 3, 1, 2)
            made = _gated(ff, ff.conv_depth(functional.silu(ff.conv_inverted(pixels))))
            whole[:, where] = made.unflatten(0, (len(x), -1)).flatten(3).transpose(2, 3).flatten(1, 2)
        del pixels, made
    gate = second.gate if second.gate.shape[1] == 1 else second.gate.unflatten(1, (num_frames, -1))

    def through_time(within: Tensor, x: Tensor, gate: Tensor | None) -> Tensor:
        """``[B, F, n, D]``."""
        columns = within.permute(0, 3, 1, 2)
        made = (columns + ff.conv_temp(columns)).permute(0, 2, 3, 1)
        return x + made * (second.gate[:, None] if gate is None else gate)

    by_frame = whole.unflatten(1, (num_frames, -1))
    inputs = [by_frame, x.unflatten(1, (num_frames, -1)), gate if gate.ndim == 4 else None]
    sliced(through_time, inputs, 2, plan.affordable(plan.pixel_slices, x.numel()), out=by_frame)
    return whole


def _gated(ff: Any, wide: Tensor) -> Tensor:
    """The feed-forward after its 3 x 3 convolution."""
    values, gate = wide.chunk(2, dim=1)
    return ff.conv_point(values * functional.silu(gate))


def usual_image(module: Any, given: Mapping[str, Any]) -> bool:
    plain = computes_plainly(module.attn1, SanaLinearAttnProcessor2_0)
    return plain and _as_released(module, GLUMBConv, SanaAttnProcessor2_0)


def usual_video(module: Any, given: Mapping[str, Any]) -> bool:
    plain = given["rotary_emb"] is not None and computes_plainly(module.attn1, SanaLinearAttnProcessor3_0)
    return plain and _as_released(module, GLUMBTempConv, VideoAttnProcessor)


def _as_released(module: Any, feed_forward: type, cross_processor: type) -> bool:
    """Whether there is cross attention, and the rest is as the released models have it."""
    cross = getattr(module, "attn2", None)
    plain = cross is not None and computes_plainly(cross, cross_processor)
    ff = module.ff
    return plain and type(ff) is feed_forward and ff.norm_type is None and not ff.residual_connection


RECIPES = (
    Recipe(SanaTransformerBlock, where(usual_image, run_image_block)),
    Recipe(SanaVideoTransformerBlock, where(usual_video, run_video_block)),
)
