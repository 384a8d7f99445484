"""The temporal half of SpatioTemporalResBlock, exactly, a few pixels at a time.

Its second norm looks at all of the first convolution's output, so there are three passes:

    statistics of norm 1 | norm 1, SiLU, convolution 1 -> statistics of norm 2 | norm 2, SiLU, convolution 2, residual, blend

The convolutions look along frames alone, so pixels need no halo. What the second pass makes is kept for the third, or made
again there (`SlicePlan.recompute`): half as much work again against one full feature less memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from suite.optimizations.grouping.temporal import normalized
from suite.slicing.moments import Moments
from suite.slicing.plan import SlicePlan, cuts
from suite.slicing.sliced import computing_slice


def run_temporal_resnet(
    module: Any,
    plan: SlicePlan,
    rows: Sequence[Tensor],
    temb: Tensor | None,
    image_only_indicator: Tensor,
    fineness: int = 1,
) -> None:
    """``temporal_res_block`` and ``time_mixer`` of `module` on the frames of one video, which are overwritten.

    Args:
        rows: all frames in order, ``[some, C, H, W]`` each; nobody else may need them.
        temb: ``[F, D]``.
        image_only_indicator: ``[1, F]``.
        fineness: how many times as many slices as the plan says.
    """
    resnet = module.temporal_res_block
    embedding = _embedding(resnet, temb)
    affine = joined_rows([Moments.of(row, resnet.norm1.num_groups) for row in rows]).affine(resnet.norm1)

    def first(block: Tensor) -> Tensor:
        volume = resnet.conv1(resnet.nonlinearity(normalized(block, affine, 1)))
        return volume if embedding is None else volume + embedding

    count = plan.affordable(plan.pixel_slices * fineness, sum(row.numel() for row in rows))
    flat = [pixels(row) for row in rows]
    bounds = cuts(flat[0].shape[2], count)
    seen: Moments | None = None
    kept: list[Tensor | None] = []
    with computing_slice():
        for start, stop in bounds:
            made = first(gathered(flat, start, stop))
            here = Moments.of(made, resnet.norm2.num_groups)
            seen = here if seen is None else seen.joined(here)
            kept.append(None if plan.recompute else made)
            del made
        assert seen is not None
        second_affine = seen.affine(resnet.norm2)
        for index, (start, stop) in enumerate(bounds):
            before, made = gathered(flat, start, stop), kept[index]
            made = first(before) if made is None else made
            kept[index] = None
            after = resnet.conv2(resnet.nonlinearity(normalized(made, second_affine, 1)))
            after += before if resnet.conv_shortcut is None else resnet.conv_shortcut(before)
            scatter(module.time_mixer(before, after, image_only_indicator), flat, start, stop)
            del before, made, after


def joined_rows(found: Sequence[Moments]) -> Moments:
    """Of rows that were looked at in several tensors, all together: ``[1, G]``."""
    mean, squares = (torch.cat([getattr(part, name) for part in found]) for name in ("mean", "squares"))
    return Moments(found[0].count, mean, squares).pooled(len(mean))


def gathered(flat: Sequence[Tensor], start: int, stop: int) -> Tensor:
    """Some pixels of all frames as a volume ``[1, C, F, 1, n]``: one row of pixels, as far as convolutions are concerned.

    Args:
        flat: all frames in order, as `pixels` sees them.
    """
    block = torch.cat([row.narrow(2, start, stop - start) for row in flat])
    return block.transpose(0, 1)[None, :, :, None]


def scatter(volume: Tensor, flat: Sequence[Tensor], start: int, stop: int) -> None:
    """Write what `gathered` has read."""
    frames = volume[0, :, :, 0].transpose(0, 1)
    for row, part in zip(flat, frames.split([len(row) for row in flat]), strict=True):
        row.narrow(2, start, stop - start).copy_(part)


def pixels(row: Tensor) -> Tensor:
    """``[N, C, H, W]`` seen as ``[N, C, H*W]``; never a copy, since it is written to."""
    return row.view(*row.shape[:2], row.shape[2] * row.shape[3])


def _embedding(resnet: Any, temb: Tensor | None) -> Tensor | None:
    """What each frame's time embedding adds to each channel, ``[1, C, F, 1, 1]``."""
    if temb is None or resnet.time_emb_proj is None:
        return None
    return resnet.time_emb_proj(resnet.nonlinearity(temb)).t()[None, :, :, None, None]
