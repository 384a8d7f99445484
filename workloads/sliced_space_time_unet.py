"""How Make-A-Video's U-Net computes slice by slice: halves of guidance apart, and within a layer frames and pixels in turn.

    [skip concat, norm, activation, conv] by frames | [conv along time] by pixels | [norm, scale and shift, activation, conv] by
    frames | [conv along time] by pixels | [residual, spatial attention, cross attention] by frames | [norm, attention along
    time, residual] by pixels

Every norm is of a frame by itself. The one before attention along time takes its statistics beforehand. All that a layer makes
whole is its output, which every group overwrites.

Shape suffixes: see workloads.pseudo3d; n some of the pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import silu

from suite.slicing.moments import in_full_precision, moments_of_rows
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, by_class, stock
from suite.slicing.sliced import inside_slice, sliced
from workloads.pseudo3d import PseudoAttention3d, PseudoConv3d
from workloads.space_time_unet import Layer, SpaceTimeUNet, concatenated

PIXELS = 3
"""Axis of pixels in ``[B, F, C, P]``."""


def run_unet(
    unet: SpaceTimeUNet,
    plan: SlicePlan,
    x_BFGHW: Tensor,
    timestep: Tensor,
    frame_rate: Tensor | None = None,
    condition_BD: Tensor | None = None,
    beside_BSD: Tensor | None = None,
) -> Tensor:
    """One video, or half of guidance, after another through the whole of it."""

    def whole(x: Tensor, condition: Tensor | None, beside: Tensor | None) -> Tensor:
        return stock(unet, x, timestep, frame_rate, condition, beside)

    return sliced(whole, [x_BFGHW, condition_BD, beside_BSD], 0, plan.batch_slices, marked=False)


def run_convolution(module: PseudoConv3d, plan: SlicePlan, x_bCHW: Tensor, num_frames: int) -> Tensor:
    """Within frames, then along time in place."""
    if inside_slice():
        return stock(module, x_bCHW, num_frames)
    h_bCHW = sliced(module.spatial, [x_bCHW], 0, plan.affordable(plan.frame_slices, x_bCHW.numel()))
    return convolve_through_time(plan, module, h_bCHW, num_frames)


def run_layer(
    layer: Layer,
    plan: SlicePlan,
    x_bCHW: Tensor,
    embedding_bE: Tensor,
    num_frames: int,
    context_bSD: Tensor | None = None,
    skip_bCHW: Tensor | None = None,
) -> Tensor:
    """Without layers along time, some frames at a time through all of it; with them as told above."""
    block, attention = layer.block, layer.attention
    elements = x_bCHW.numel() + (0 if skip_bCHW is None else skip_bCHW.numel())
    count = plan.affordable(plan.frame_slices, elements)
    if block.conv1.temporal is None:
        return sliced(
            lambda x, e, c, s: stock(layer, x, e, 1, c, s), [x_bCHW, embedding_bE, context_bSD, skip_bCHW], 0, count
        )

    def enter(x: Tensor, skip: Tensor | None) -> Tensor:
        return block.conv1.spatial(silu(block.norm1(concatenated(x, skip)), inplace=True))

    def modulated(h: Tensor, embedding_bE: Tensor) -> Tensor:
        scale_bC11, shift_bC11 = block.scale_shift(silu(embedding_bE))[..., None, None].chunk(2, dim=1)
        return block.conv2.spatial(silu(torch.addcmul(shift_bC11, block.norm2(h), 1 + scale_bC11), inplace=True))

    def within_frames(h: Tensor, x: Tensor, skip: Tensor | None, context: Tensor | None) -> Tensor:
        h = block.shortcut(concatenated(x, skip)) + h
        return h if attention is None else spatially_attended(attention, h, context)

    h_bCHW = sliced(enter, [x_bCHW, skip_bCHW], 0, count)
    h_bCHW = convolve_through_time(plan, block.conv1, h_bCHW, num_frames)
    h_bCHW = sliced(modulated, [h_bCHW, embedding_bE], 0, count, out=h_bCHW)
    h_bCHW = convolve_through_time(plan, block.conv2, h_bCHW, num_frames)
    h_bCHW = sliced(within_frames, [h_bCHW, x_bCHW, skip_bCHW, context_bSD], 0, count, out=h_bCHW)
    return h_bCHW if attention is None else attend_through_time(plan, attention, h_bCHW, num_frames)


def spatially_attended(attention: PseudoAttention3d, x_bCHW: Tensor, context_bSC: Tensor | None) -> Tensor:
    """What `attention` does within frames; `x` is overwritten."""
    x_bCHW += attention.within_frames(attention.spatial_attention, attention.spatial_norm(x_bCHW))
    if attention.cross_norm is not None and attention.cross_attention is not None:
        x_bCHW += attention.within_frames(attention.cross_attention, attention.cross_norm(x_bCHW), context_bSC)
    return x_bCHW


def attend_through_time(plan: SlicePlan, attention: PseudoAttention3d, x_bCHW: Tensor, num_frames: int) -> Tensor:
    """What `attention` does along time, in place: statistics of the norm by frames, then the rest by pixels."""
    norm, through_time = attention.temporal_norm, attention.temporal_attention
    if norm is None or through_time is None:
        return x_bCHW
    count = plan.affordable(max(plan.frame_slices, plan.pixel_slices), x_bCHW.numel())
    affine = moments_of_rows(x_bCHW, norm.num_groups, count).affine(norm)
    scale_BFC1, shift_BFC1 = (part.view(-1, num_frames, norm.num_channels, 1) for part in affine)

    def group(x_BFCn: Tensor) -> Tensor:
        normalized = torch.addcmul(shift_BFC1, in_full_precision(x_BFCn), scale_BFC1).to(x_BFCn.dtype)
        sequences = normalized.permute(0, 3, 1, 2)
        attended = through_time(sequences.flatten(0, 1)).view_as(sequences)
        return x_BFCn + attended.permute(0, 2, 3, 1)

    return by_pixels(plan, group, x_bCHW, num_frames)


def convolve_through_time(plan: SlicePlan, module: PseudoConv3d, x_bCHW: Tensor, num_frames: int) -> Tensor:
    """The convolution along time, in place; nothing where there is none."""
    convolution = module.temporal
    if convolution is None:
        return x_bCHW

    def group(x_BFCn: Tensor) -> Tensor:
        sequences = x_BFCn.permute(0, 3, 2, 1)
        return convolution(sequences.flatten(0, 1)).view(sequences.shape).permute(0, 3, 2, 1)

    return by_pixels(plan, group, x_bCHW, num_frames)


def by_pixels(plan: SlicePlan, group: Callable[[Tensor], Tensor], x_bCHW: Tensor, num_frames: int) -> Tensor:
    """`group` on some pixels of `x` at a time, ``[B, F, C, n]``, written over them."""
    x_BFCP = x_bCHW.view(-1, num_frames, x_bCHW.shape[1], x_bCHW.shape[2] * x_bCHW.shape[3])
    sliced(group, [x_BFCP], PIXELS, plan.affordable(plan.pixel_slices, x_bCHW.numel()), out=x_BFCP)
    return x_bCHW


RECIPES: Sequence[Recipe] = (
    Recipe(SpaceTimeUNet, run_unet),
    Recipe(Layer, run_layer),
    Recipe(PseudoConv3d, run_convolution),
)
SLICING_RECIPES = by_class(RECIPES)
