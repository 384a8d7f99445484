"""The temporal half of SpatioTemporalResBlock, exactly, a few pixels at a time.

Its second norm looks at all of the first convolution's output, so there are three passes:

    statistics of norm 1 | norm 1, SiLU, convolution 1 -> statistics of norm 2 | norm 2, SiLU, convolution 2, residual, blend

The convolutions look along frames alone, so pixels need no halo. What the second pass makes is kept whole for the third, or
made again there (`SlicePlan.recompute`): a third less work against one full feature less memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from suite.optimizations.grouping.temporal import (
    SeenMoments,
    by_pixels,
    normalized,
    pixel_blocks,
    statistics_over_frames,
)
from suite.slicing.plan import SlicePlan


def run_temporal_resnet(
    module: Any, plan: SlicePlan, x: Tensor, temb: Tensor | None, image_only_indicator: Tensor, fineness: int = 1
) -> Tensor:
    """``temporal_res_block`` and ``time_mixer`` of `module` on `x`, which is overwritten and returned.

    Args:
        x: what the spatial half gave, ``[B*F, C, H, W]``; nobody else may need it.
        temb: ``[B*F, D]``.
        fineness: how many times as many slices as the plan says.
    """
    resnet, num_frames = module.temporal_res_block, image_only_indicator.shape[-1]
    count = plan.pixel_slices * fineness
    embedding = _embedding(resnet, temb, num_frames)
    affine = statistics_over_frames(plan, resnet.norm1, x, num_frames)

    def first(block: Tensor) -> Tensor:
        volume = resnet.conv1(resnet.nonlinearity(normalized(volume_of(block), affine, 1)))
        return volume if embedding is None else volume + embedding

    seen = SeenMoments(resnet.norm2)
    if plan.recompute:
        inputs = (x,)
        for block in pixel_blocks(plan, x, num_frames, count):
            seen.add(first(block))
    else:
        inputs = (
            x,
            by_pixels(
                plan, lambda block: block_of(seen.add(first(block))), (x,), num_frames, torch.empty_like(x), count
            ),
        )
    second_affine = seen.affine()

    def second(block: Tensor, kept: Tensor | None = None) -> Tensor:
        volume = first(block) if kept is None else volume_of(kept)
        volume = resnet.conv2(resnet.nonlinearity(normalized(volume, second_affine, 1)))
        before = volume_of(block)
        volume += before if resnet.conv_shortcut is None else resnet.conv_shortcut(before)
        return block_of(module.time_mixer(before, volume, image_only_indicator))

    return by_pixels(plan, second, inputs, num_frames, x, count)


def volume_of(block: Tensor) -> Tensor:
    """``[B, F, C, n]`` as ``[B, C, F, 1, n]``: one row of pixels, as far as the convolutions are concerned."""
    return block.transpose(1, 2).unsqueeze(3)


def block_of(volume: Tensor) -> Tensor:
    return volume.squeeze(3).transpose(1, 2)


def _embedding(resnet: Any, temb: Tensor | None, num_frames: int) -> Tensor | None:
    """What each frame's time embedding adds to each channel, ``[B, C, F, 1, 1]``."""
    if temb is None or resnet.time_emb_proj is None:
        return None
    of_frames = resnet.time_emb_proj(resnet.nonlinearity(temb)).unflatten(0, (-1, num_frames))
    return of_frames.transpose(1, 2)[..., None, None]
