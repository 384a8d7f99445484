"""Single operators, each cut along the axis on which its positions do not look at each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from suite.optimizations.grouping.temporal import normalized
from suite.slicing.moments import Moments
from suite.slicing.plan import SlicePlan, cuts
from suite.slicing.recipe import Recipe, stock
from suite.slicing.sliced import inside_slice, sliced

HEIGHT = 3
"""Axis of rows of pixels in ``[B, C, F, H, W]``."""


def operator_recipes(num_frames: int) -> tuple[Recipe, ...]:
    """Of convolutions, norms, linear layers and diffusers' attention.

    Args:
        num_frames: frames (or images) of the whole batch. A tensor with more rows than that has pixels for rows.
    """

    def by_rows(module: nn.Module, plan: SlicePlan, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        count = plan.affordable(plan.frame_slices if len(x) <= num_frames else plan.pixel_slices, x.numel())
        return sliced(lambda rows: stock(module, rows, *args, **kwargs), [x], 0, count)

    def attention(
        module: Any,
        plan: SlicePlan,
        hidden_states: Tensor,
        encoder_hidden_states: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        same_rows = encoder_hidden_states is None or len(encoder_hidden_states) == len(hidden_states)
        joint = (
            getattr(module, "added_kv_proj_dim", None) is not None
        )  # gives two tensors; what it calls is cut instead
        if joint or args or not same_rows or any(isinstance(value, Tensor) for value in kwargs.values()):
            return stock(module, hidden_states, encoder_hidden_states, *args, **kwargs)
        count = plan.frame_slices if len(hidden_states) <= num_frames else plan.pixel_slices
        return sliced(
            lambda rows, context: stock(module, rows, context, **kwargs),
            [hidden_states, encoder_hidden_states],
            0,
            plan.affordable(count, hidden_states.numel()),
        )

    def group_norm(module: nn.GroupNorm, plan: SlicePlan, x: Tensor) -> Tensor:
        return through_time(module, plan, x) if x.ndim == 5 else by_rows(module, plan, x)

    recipes = {
        nn.Conv1d: by_rows,
        nn.Conv2d: by_rows,
        nn.Conv3d: convolution_through_time,
        nn.GroupNorm: group_norm,
        nn.LayerNorm: by_tokens,
        nn.Linear: by_tokens,
        nn.RMSNorm: by_tokens,
        Attention: attention,
    }
    return tuple(Recipe(kind, _outside_slices(run)) for kind, run in recipes.items())


def by_tokens(module: nn.Module, plan: SlicePlan, x: Tensor) -> Tensor:
    """A layer that sees each token ``[..., C]`` alone."""
    if x.ndim < 3 or not x.is_contiguous():
        return stock(module, x)
    count = plan.affordable(plan.token_slices, x.numel())
    if count == 1:
        return stock(module, x)
    tokens = x.flatten(0, -2)
    return sliced(lambda some: stock(module, some), [tokens], 0, count).unflatten(0, x.shape[:-1])


def convolution_through_time(module: nn.Conv3d, plan: SlicePlan, x: Tensor) -> Tensor:
    """A convolution over ``[B, C, F, H, W]`` that looks along frames alone, by rows of pixels; any other stays whole."""
    looks_around = (module.kernel_size[1:], module.stride[1:], module.padding[1:]) != ((1, 1), (1, 1), (0, 0))
    if looks_around or x.ndim != 5:
        return stock(module, x)
    count = plan.affordable(plan.pixel_slices, x.numel())
    return sliced(lambda block: stock(module, block), [x], HEIGHT, count)


def through_time(norm: nn.GroupNorm, plan: SlicePlan, x: Tensor) -> Tensor:
    """A group norm over all frames and pixels of ``[B, C, F, H, W]``: exact statistics first, then by rows of pixels."""
    count = plan.affordable(plan.pixel_slices, x.numel())
    if count == 1:
        return stock(norm, x)
    seen: Moments | None = None
    for start, stop in cuts(x.shape[HEIGHT], count):
        here = Moments.of(x.narrow(HEIGHT, start, stop - start), norm.num_groups)
        seen = here if seen is None else seen.joined(here)
    assert seen is not None
    affine = seen.affine(norm)
    return sliced(lambda block: normalized(block, affine, 1), [x], HEIGHT, count)


def by_queries(whole: Callable[..., Tensor], plan: SlicePlan) -> Callable[..., Tensor]:
    """``scaled_dot_product_attention``, a block of queries at a time; every query sees all keys."""

    def blocks(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        if inside_slice() or args or kwargs.get("is_causal") or kwargs.get("dropout_p"):
            return whole(query, key, value, attn_mask, *args, **kwargs)
        of_queries = attn_mask if attn_mask is not None and attn_mask.shape[-2] > 1 else None

        def some(query: Tensor, mask: Tensor | None) -> Tensor:
            return whole(query, key, value, attn_mask if mask is None else mask, **kwargs)

        return sliced(some, [query, of_queries], -2, plan.affordable(plan.token_slices, query.numel()))

    return blocks


def patch_attention(plan: SlicePlan) -> Callable[[], None]:
    """Let whoever calls torch's attention call `by_queries`; returns what takes it off again."""
    functional = torch.nn.functional
    whole = functional.scaled_dot_product_attention
    functional.scaled_dot_product_attention = by_queries(whole, plan)
    return lambda: setattr(functional, "scaled_dot_product_attention", whole)


def _outside_slices(run: Callable[..., Any]) -> Callable[..., Any]:
    def checked(module: nn.Module, plan: SlicePlan, *args: Any, **kwargs: Any) -> Any:
        args = (kwargs.pop("input"), *args) if "input" in kwargs else args  # torch's name for it, and some spell it out
        return stock(module, *args, **kwargs) if inside_slice() else run(module, plan, *args, **kwargs)

    return checked
