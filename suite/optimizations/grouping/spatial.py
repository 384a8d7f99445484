"""Spatial groups: operators that work on each frame (or image) alone, run one after another on a few frames at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_flatten, tree_unflatten

from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import Recipe, stock
from suite.slicing.sliced import sliced

Features = Tensor | tuple[Tensor, ...]
"""``[B*F, C, H, W]``, or several of them that are to be concatenated along channels, which is done slice by slice."""


def by_frames(plan: SlicePlan, group: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """``group(*inputs)`` on a few rows of every tensor at a time.

    Args:
        inputs: tensors of one number of rows, or trees of such tensors; the first one's size decides how many slices pay.
    """
    leaves, structure = tree_flatten(inputs)
    tensors = [leaf if isinstance(leaf, Tensor) else None for leaf in leaves]
    elements = sum(leaf.numel() for leaf in tree_flatten(inputs[0])[0])

    def run(*views: Tensor | None) -> Tensor:
        found = [leaf if view is None else view for leaf, view in zip(leaves, views, strict=True)]
        return group(*tree_unflatten(found, structure))

    return sliced(run, tensors, 0, plan.affordable(plan.frame_slices, elements))


def concatenated(features: Features) -> Tensor:
    return torch.cat(features, dim=1) if isinstance(features, tuple) else features


def resnet_and_attention(
    plan: SlicePlan,
    features: Features,
    resnet: nn.Module,
    attention: nn.Module | None,
    temb: Tensor | None,
    context: Any,
    **attention_arguments: Any,
) -> Tensor:
    """One group: the skips' concatenation, a residual block and, where there is one, a spatial transformer.

    Args:
        temb: a row for each frame.
        context: what cross-attention looks at, a row for each frame.
        attention_arguments: the same for all frames.
    """

    def group(features: Features, temb: Tensor | None, context: Any) -> Tensor:
        x = resnet(concatenated(features), temb)
        if attention is None:
            return x
        return attention(x, encoder_hidden_states=context, return_dict=False, **attention_arguments)[0]

    return by_frames(plan, group, features, temb, context)


def run_resampler(module: nn.Module, plan: SlicePlan, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """An up- or downsampler by frames; other arguments, such as the size of the output, hold for all of them."""
    return by_frames(plan, lambda x: stock(module, x, *args, **kwargs), hidden_states)


def run_residual_block(module: Any, plan: SlicePlan, input_tensor: Tensor, temb: Tensor | None) -> Tensor:
    """ResnetBlock2D with activations in place, since nobody needs what a norm gave after them."""
    resamples = module.upsample is not None or module.downsample is not None
    projection = module.time_emb_proj
    usual = module.time_embedding_norm == "default" and isinstance(module.nonlinearity, nn.SiLU)
    if resamples or not usual or (temb is None) != (projection is None):
        return stock(module, input_tensor, temb)
    x = module.conv1(functional.silu(module.norm1(input_tensor), inplace=True))
    if projection is not None:
        x += projection(temb if module.skip_time_act else module.nonlinearity(temb))[:, :, None, None]
    x = module.conv2(functional.silu(module.norm2(x), inplace=True))
    x += input_tensor if module.conv_shortcut is None else module.conv_shortcut(input_tensor)
    return x if module.output_scale_factor == 1 else x.div_(module.output_scale_factor)


RECIPES = (
    Recipe(ResnetBlock2D, run_residual_block, rows_only=True, cuts=False),
    Recipe(Downsample2D, run_resampler, rows_only=True),
    Recipe(Upsample2D, run_resampler, rows_only=True),
)
