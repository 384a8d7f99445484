"""Blocks of diffusion transformers, token by token: exact, with less memory, and left alone where they deviate.

Names for the mirror: suite.optimizations.grouping.attention_streams, suite.optimizations.grouping.cogvideox,
suite.optimizations.grouping.flux, suite.optimizations.grouping.hunyuan_video, suite.optimizations.grouping.linear_attention,
suite.optimizations.grouping.ltx_video, suite.optimizations.grouping.sana, suite.optimizations.grouping.sd3,
suite.optimizations.grouping.wan, suite.slicing.tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import wraps
from typing import Any

import pytest
import torch
from diffusers.hooks import HookRegistry, ModelHook
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, assert_exact, check_exact, error, sliced_by
from optimizations.live_bytes import peak_bytes
from optimizations.tiny_transformers import MODELS, caller, made
from torch import Tensor, nn

from suite.optimizations.operator_grouping import all_recipes
from suite.slicing.plan import SlicePlan

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(2, 7), st.integers(2, 7))
"""Batch, and tokens along time, height and width."""
COUNTS = st.tuples(*[st.integers(1, 6)] * 4)


def plan_of(batch: int, frames: int, pixels: int, tokens: int) -> SlicePlan:
    return SlicePlan(batch_slices=batch, frame_slices=frames, pixel_slices=pixels, token_slices=tokens)


PLAN = plan_of(2, 3, 4, 5)


@pytest.mark.parametrize("name", MODELS)
@given(sizes=SIZES, counts=COUNTS, guided=st.booleans(), dtype=st.sampled_from(DTYPES))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    name: str, sizes: tuple[int, ...], counts: tuple[int, ...], guided: bool, dtype: torch.dtype
) -> None:
    """Guidance's other half doubles the batch."""
    batch_size, *others = sizes
    batch_size *= 2 if guided else 1
    check_exact(
        made(name, dtype), lambda model: caller(name, model, batch_size, *others), all_recipes(), plan_of(*counts)
    )


@pytest.mark.parametrize("name", MODELS)
def test_it_needs_less_memory(name: str) -> None:
    model = made(name, torch.float32)
    call = caller(name, model, 2, 1 if name in ("flux", "sd3", "sana") else 4, 15, 13)
    whole = peak_bytes(call)
    with sliced_by(model, all_recipes(), PLAN):
        assert peak_bytes(call) < 0.75 * whole


def attentions(model: nn.Module) -> list[Any]:
    """Modules whose queries and keys are the block's own tokens."""
    return [module for path, module in model.named_modules() if path.endswith((".attn", ".attn1"))]


def watched(kind: type, lengths: list[int]) -> Any:
    """A processor of somebody else's: it does what the usual one does, twice as much of it, and sees how many tokens come."""

    class Doubled(kind):
        @wraps(kind.__call__)  # arguments that its signature does not name are not given to it
        def __call__(self, attention: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
            lengths.append(hidden_states.shape[1])
            output = super().__call__(attention, hidden_states, *args, **kwargs)
            return tuple(2 * part for part in output) if isinstance(output, tuple) else 2 * output

    return Doubled()


@contextmanager
def with_processors(model: nn.Module, lengths: list[int]) -> Iterator[None]:
    before = [(attention, attention.processor) for attention in attentions(model)]
    for attention, processor in before:
        attention.processor = watched(type(processor), lengths)
    try:
        yield
    finally:
        for attention, processor in before:
            attention.processor = processor


class Doubling(ModelHook):
    """As a cache of diffusers hangs on a module and answers for it."""

    def post_forward(self, module: nn.Module, output: Any) -> Any:
        return tuple(2 * part for part in output) if isinstance(output, tuple) else 2 * output


@contextmanager
def with_hooks(model: nn.Module, lengths: list[int]) -> Iterator[None]:
    registries = [HookRegistry.check_if_exists_or_initialize(attention) for attention in attentions(model)]
    for registry in registries:
        registry.register_hook(Doubling(), "doubling")
    try:
        yield
    finally:
        for attention, registry in zip(attentions(model), registries, strict=True):
            registry.remove_hook("doubling")
            del attention._diffusers_hook


@pytest.mark.parametrize("deviating", [with_processors, with_hooks])
@pytest.mark.parametrize("name", MODELS)
def test_a_module_that_deviates_computes_as_it_would(name: str, deviating: Callable) -> None:
    """Somebody's own attention is called with all tokens at once and decides the output, sliced or not."""
    model = made(name, torch.float32)
    sizes = (2, 1 if name in ("flux", "sd3", "sana") else 3, 3, 5)
    call = caller(name, model, *sizes)
    lengths: list[int] = []
    doubled = deepcopy(model).double()
    with torch.inference_mode(), deviating(doubled, []):
        reference = caller(name, doubled, *sizes)()
    with torch.inference_mode():
        usual = call()
        with deviating(model, lengths):
            expected, seen = call(), lengths.copy()
            assert error(expected, usual) > 1e-3, "the deviation is one"
            lengths.clear()
            with sliced_by(model, all_recipes(), PLAN):
                assert_exact(call(), expected, reference)
        assert lengths == seen
        assert torch.equal(call(), usual)
