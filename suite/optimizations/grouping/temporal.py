"""Temporal groups: operators that work on each pixel alone, through all frames, run on a few pixels at a time.

Group norms are the exception, they look at all pixels: their statistics are taken beforehand, exactly, and what is left of them
is a scale and a shift per channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from suite.slicing.moments import in_full_precision, moments_of_rows
from suite.slicing.plan import SlicePlan
from suite.slicing.sliced import sliced


def statistics_over_frames(plan: SlicePlan, norm: nn.GroupNorm, x: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
    """Scale and shift, ``[B, C]`` each, of a group norm over all frames and pixels of `x` ``[B*F, C, H, W]``."""
    count = plan.affordable(max(plan.frame_slices, plan.pixel_slices), x.numel())
    return moments_of_rows(x, norm.num_groups, count).pooled(num_frames).affine(norm)


def normalized(x: Tensor, affine: tuple[Tensor, Tensor], axis: int) -> Tensor:
    """``x * scale + shift`` in full precision, in the data type of `x`.

    Args:
        x: ``[B, ...]``.
        affine: scale and shift, ``[B, C]`` each.
        axis: that of the channels.
    """
    shape = [1] * x.ndim
    shape[0], shape[axis] = affine[0].shape
    scale, shift = (part.view(shape) for part in affine)
    return torch.addcmul(shift, in_full_precision(x), scale).to(x.dtype)


def by_pixels(
    plan: SlicePlan,
    group: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    num_frames: int,
    out: Tensor,
) -> Tensor:
    """``group`` on a few pixels of all inputs at a time, ``[B, F, C, n]`` each, written to the same pixels of `out`.

    Args:
        inputs: ``[B*F, C, H, W]``, of one shape.
        out: like them; one of them if nobody else reads it.
    """
    count = plan.affordable(plan.pixel_slices, inputs[0].numel())
    sliced(group, [pixels_last(x, num_frames) for x in inputs], 3, count, out=pixels_last(out, num_frames))
    return out


def pixels_last(x: Tensor, num_frames: int) -> Tensor:
    """``[B*F, C, H, W]`` seen as ``[B, F, C, H*W]``."""
    return x.view(-1, num_frames, x.shape[1], x.shape[2] * x.shape[3])
