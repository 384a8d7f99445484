"""AnimateDiff's U-Net: residual block and spatial transformer by frames, motion modules by pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from diffusers import UNetMotionModel
from diffusers.models.unets.unet_motion_model import (
    AnimateDiffTransformer3D,
    CrossAttnDownBlockMotion,
    CrossAttnUpBlockMotion,
    DownBlockMotion,
    UNetMidBlockCrossAttnMotion,
    UNetMotionOutput,
    UpBlockMotion,
)
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from suite.optimizations.grouping.batch import batch_recipe
from suite.optimizations.grouping.spatial import resnet_and_attention
from suite.optimizations.grouping.temporal import by_pixels, normalized, statistics_over_frames
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, stock

OF_ATTENTION = ("attention_mask", "encoder_attention_mask", "cross_attention_kwargs")
FREEU = ("s1", "s2", "b1", "b2")


def run_motion_module(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    encoder_hidden_states: Tensor | None = None,
    timestep: Tensor | None = None,
    class_labels: Tensor | None = None,
    num_frames: int = 1,
    cross_attention_kwargs: dict[str, Any] | None = None,
) -> Tensor:
    """Exact statistics of the norm; then norm, projections, temporal transformer and residual as one group of pixels."""
    conditions = (encoder_hidden_states, timestep, class_labels, cross_attention_kwargs)
    if any(given is not None for given in conditions):
        return stock(module, hidden_states, *conditions[:3], num_frames, cross_attention_kwargs)
    affine = statistics_over_frames(plan, module.norm, hidden_states, num_frames)

    def group(x: Tensor) -> Tensor:
        batch_size, _, channels, pixels = x.shape
        tokens = normalized(x, affine, 2).permute(0, 3, 1, 2).flatten(0, 1)
        tokens = module.proj_in(tokens)
        for block in module.transformer_blocks:
            tokens = block(tokens)
        return module.proj_out(tokens).view(batch_size, pixels, num_frames, channels).permute(0, 2, 3, 1)

    output = by_pixels(plan, group, (hidden_states,), num_frames, torch.empty_like(hidden_states))
    return output.add_(hidden_states)  # at once: no temporary, and faster than in pieces across the grain


def run_down_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    temb: Tensor | None = None,
    encoder_hidden_states: Any = None,
    num_frames: int = 1,
    additional_residuals: Tensor | None = None,
    **of_attention: Any,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Each layer a spatial group and a temporal one; the downsampler is a group of its own, since both its ends are skips."""
    skips: list[Tensor] = []
    for resnet, attention, motion in _layers(module):
        hidden_states = resnet_and_attention(
            plan, hidden_states, resnet, attention, temb, encoder_hidden_states, **of_attention
        )
        hidden_states = motion(hidden_states, num_frames=num_frames)
        if additional_residuals is not None and len(skips) == len(module.resnets) - 1:
            hidden_states = hidden_states + additional_residuals
        skips.append(hidden_states)
    for downsampler in module.downsamplers or ():
        hidden_states = downsampler(hidden_states)
        skips.append(hidden_states)
    return hidden_states, tuple(skips)


def run_mid_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    temb: Tensor | None = None,
    encoder_hidden_states: Any = None,
    num_frames: int = 1,
    **of_attention: Any,
) -> Tensor:
    """Residual block and attention, motion module, and the next residual block with the attention after it, if any."""
    attentions = [*module.attentions, None]
    for index, (resnet, attention) in enumerate(zip(module.resnets, attentions, strict=True)):
        hidden_states = resnet_and_attention(
            plan, hidden_states, resnet, attention, temb, encoder_hidden_states, **of_attention
        )
        if index < len(module.motion_modules):
            hidden_states = module.motion_modules[index](hidden_states, num_frames=num_frames)
    return hidden_states


def run_up_block(
    module: Any,
    plan: SlicePlan,
    hidden_states: Tensor,
    res_hidden_states_tuple: Sequence[Tensor],
    temb: Tensor | None = None,
    encoder_hidden_states: Any = None,
    num_frames: int = 1,
    upsample_size: Any = None,
    **of_attention: Any,
) -> Tensor:
    """As a down block; skips are concatenated slice by slice, so that their concatenation is never there whole."""
    for (resnet, attention, motion), skip in zip(_layers(module), reversed(res_hidden_states_tuple), strict=True):
        hidden_states = resnet_and_attention(
            plan, (hidden_states, skip), resnet, attention, temb, encoder_hidden_states, **of_attention
        )
        hidden_states = motion(hidden_states, num_frames=num_frames)
    for upsampler in module.upsamplers or ():
        hidden_states = upsampler(hidden_states, output_size=upsample_size)
    return hidden_states


def _layers(block: Any) -> Iterable[tuple[nn.Module, nn.Module | None, nn.Module]]:
    attentions: Iterable[nn.Module | None] = getattr(block, "attentions", [None] * len(block.resnets))
    return zip(block.resnets, attentions, block.motion_modules, strict=True)


def _unless_unusual(run: Callable[..., Any]) -> Callable[..., Any]:
    """Leaves to the block itself what no pipeline of these U-Nets asks for by default: FreeU, and masks of attention."""

    def checked(module: Any, plan: SlicePlan, *args: Any, **kwargs: Any) -> Any:
        masked = any(isinstance(leaf, Tensor) for name in OF_ATTENTION for leaf in tree_leaves(kwargs.get(name)))
        if masked or any(getattr(module, name, None) for name in FREEU):
            return stock(module, *args, **kwargs)
        return run(module, plan, *args, **kwargs)

    return checked


RECIPES = (
    batch_recipe(UNetMotionModel, UNetMotionOutput),
    Recipe(AnimateDiffTransformer3D, run_motion_module),
    Recipe(DownBlockMotion, _unless_unusual(run_down_block)),
    Recipe(CrossAttnDownBlockMotion, _unless_unusual(run_down_block)),
    Recipe(UNetMidBlockCrossAttnMotion, _unless_unusual(run_mid_block)),
    Recipe(UpBlockMotion, _unless_unusual(run_up_block)),
    Recipe(CrossAttnUpBlockMotion, _unless_unusual(run_up_block)),
)
