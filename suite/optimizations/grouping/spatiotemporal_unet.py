"""Stable Video Diffusion's U-Net: residual blocks and transformers that have a spatial and a temporal half each.

resnet:      [skip concat, spatial residual block] by frames | statistics | [norm, conv] by pixels | [norm, conv, residual,
             blend] by pixels, where the second norm's statistics were gathered
transformer: [norm, projection, spatial block] by frames | [temporal block, blend, projection, residual] by pixels
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.resnet import SpatioTemporalResBlock
from diffusers.models.transformers.transformer_temporal import (
    TransformerSpatioTemporalModel,
    TransformerTemporalModelOutput,
)
from diffusers.models.unets.unet_3d_blocks import CrossAttnUpBlockSpatioTemporal, UpBlockSpatioTemporal
from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionOutput
from torch import Tensor, nn

from suite.optimizations.grouping.batch import batch_recipe
from suite.optimizations.grouping.spatial import Features, by_frames, resnet_and_attention
from suite.optimizations.grouping.temporal_resnet import run_temporal_resnet
from suite.slicing.plan import SlicePlan, cuts
from suite.slicing.recipe import Recipe
from suite.slicing.sliced import sliced


def run_resnet(
    module: Any,
    plan: SlicePlan,
    hidden_states: Features,
    temb: Tensor | None,
    image_only_indicator: Tensor,
) -> Tensor:
    """The spatial half by frames, the temporal half by pixels into what the spatial half made.

    Args:
        hidden_states: ``[B*F, C, H, W]``, or features and skip that are concatenated slice by slice.
    """
    x = resnet_and_attention(plan, hidden_states, module.spatial_res_block, None, temb, None)
    num_frames = image_only_indicator.shape[-1]
    for index, video in enumerate(x.split(num_frames)):
        rows = [
            video[start:stop] for start, stop in cuts(num_frames, plan.affordable(plan.frame_slices, video.numel()))
        ]
        of_video = None if temb is None else temb[index * num_frames :][:num_frames]
        run_temporal_resnet(module, plan, rows, of_video, image_only_indicator[index : index + 1])
    return x


def run_up_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    res_hidden_states_tuple: Sequence[Tensor],
    temb: Tensor | None = None,
    encoder_hidden_states: Tensor | None = None,
    image_only_indicator: Tensor | None = None,
    upsample_size: Any = None,
) -> Tensor:
    attentions = getattr(module, "attentions", [None] * len(module.resnets))
    for resnet, attention, skip in zip(module.resnets, attentions, reversed(res_hidden_states_tuple), strict=True):
        hidden_states = resnet((hidden_states, skip), temb, image_only_indicator=image_only_indicator)
        if attention is not None:
            hidden_states = attention(
                hidden_states,
                encoder_hidden_states=encoder_hidden_states,
                image_only_indicator=image_only_indicator,
                return_dict=False,
            )[0]
    for upsampler in module.upsamplers or ():
        hidden_states = upsampler(hidden_states, upsample_size)
    return hidden_states


def run_transformer(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor,
    image_only_indicator: Tensor,
    return_dict: bool = True,
) -> Any:
    """Everything up to the first spatial block by frames, everything after the last one by pixels."""
    num_frames = image_only_indicator.shape[-1]
    positions = frame_positions(module, hidden_states, num_frames)
    context = encoder_hidden_states.unflatten(0, (-1, num_frames))[:, :1]

    def enter(x: Tensor, context: Tensor) -> Tensor:
        tokens = module.proj_in(module.norm(x).permute(0, 2, 3, 1).flatten(1, 2))
        return module.transformer_blocks[0](tokens, encoder_hidden_states=context)

    def through_time(block: nn.Module, tokens: Tensor) -> Tensor:
        """``[B, F, n, C]``: the temporal block and its blend with what it was given."""
        tokens = tokens.flatten(0, 1)
        of_each_pixel = context.expand(-1, tokens.shape[1], -1, -1).flatten(0, 1)
        mixed = block(tokens + positions, num_frames=num_frames, encoder_hidden_states=of_each_pixel)
        mixed = module.time_mixer(x_spatial=tokens, x_temporal=mixed, image_only_indicator=image_only_indicator)
        return mixed.unflatten(0, (-1, num_frames))

    def leave(tokens: Tensor, x: Tensor) -> Tensor:
        return module.proj_out(through_time(module.temporal_transformer_blocks[-1], tokens)) + x

    tokens = by_frames(plan, enter, hidden_states, encoder_hidden_states)
    by_pixel = tokens.unflatten(0, (-1, num_frames))
    count = plan.affordable(plan.pixel_slices, tokens.numel())
    for spatial, temporal in zip(module.transformer_blocks[1:], module.temporal_transformer_blocks[:-1], strict=True):
        sliced(partial(through_time, temporal), [by_pixel], 2, count, out=by_pixel)
        tokens.copy_(
            by_frames(
                plan, lambda x, c, block=spatial: block(x, encoder_hidden_states=c), tokens, encoder_hidden_states
            )
        )
    output = torch.empty_like(hidden_states)
    sliced(leave, [by_pixel, pixels_first(hidden_states, num_frames)], 2, count, out=pixels_first(output, num_frames))
    return TransformerTemporalModelOutput(sample=output) if return_dict else (output,)


def pixels_first(x: Tensor, num_frames: int) -> Tensor:
    """``[B*F, C, H, W]`` seen as ``[B, F, H*W, C]``."""
    return x.unflatten(0, (-1, num_frames)).flatten(3).transpose(2, 3)


def frame_positions(module: Any, like: Tensor, num_frames: int) -> Tensor:
    """The embedding of each frame's number, ``[B*F, 1, C]``."""
    numbers = torch.arange(num_frames, device=like.device).repeat(like.shape[0] // num_frames)
    return module.time_pos_embed(module.time_proj(numbers).to(like.dtype)).unsqueeze(1)


RECIPES = (
    batch_recipe(UNetSpatioTemporalConditionModel, UNetSpatioTemporalConditionOutput),
    Recipe(SpatioTemporalResBlock, run_resnet),
    Recipe(TransformerSpatioTemporalModel, run_transformer),
    Recipe(UpBlockSpatioTemporal, run_up_block),
    Recipe(CrossAttnUpBlockSpatioTemporal, run_up_block),
)
