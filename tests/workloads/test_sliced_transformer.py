"""Transformer blocks slice by slice, with self, cross and causal attention: exact, with less memory; caches left alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, check_exact, normal, sliced_by
from optimizations.live_bytes import peak_bytes
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from suite.slicing.plan import SlicePlan
from workloads.muse import Muse
from workloads.parti import Parti
from workloads.sliced_transformer import SLICING_RECIPES
from workloads.transformer import TransformerBlock

WIDTH = 32
KINDS = {"self": {}, "cross": {"crosses": True}, "causal": {"causal": True}, "both": {"crosses": True, "causal": True}}


@cache
def block(kind: str, dtype: torch.dtype) -> TransformerBlock:
    torch.manual_seed(0)
    return TransformerBlock(WIDTH, 4 * WIDTH, 2, **KINDS[kind]).to(dtype).eval()


def caller(model: TransformerBlock, batch_size: int, num_tokens: int) -> Callable[[], Tensor]:
    torch.manual_seed(1)
    dtype = model.mlp_norm.weight.dtype
    tokens = normal(batch_size, num_tokens, WIDTH, dtype=dtype)
    context = None if model.cross_norm is None else normal(batch_size, 9, WIDTH, dtype=dtype)
    return lambda: model(tokens, context)


def plan_of(batch: int, tokens: int) -> SlicePlan:
    return SlicePlan(batch_slices=batch, token_slices=tokens)


@pytest.mark.parametrize("kind", KINDS)
@given(
    batch_size=st.integers(1, 3),
    num_tokens=st.integers(1, 37),
    guided=st.booleans(),
    counts=st.tuples(st.integers(1, 3), st.integers(1, 9)),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    kind: str, batch_size: int, num_tokens: int, guided: bool, counts: tuple[int, int], dtype: torch.dtype
) -> None:
    """Guidance's other half doubles the batch; with more sequences than slices these are apart, with fewer their tokens."""
    model = block(kind, dtype)
    batch_size *= 2 if guided else 1
    check_exact(model, lambda model: caller(model, batch_size, num_tokens), SLICING_RECIPES, plan_of(*counts))


@pytest.mark.parametrize("batch_size", [1, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_it_needs_less_memory(kind: str, batch_size: int) -> None:
    model = block(kind, torch.float32)
    call = caller(model, batch_size, 131)
    whole = peak_bytes(call)
    with sliced_by(model, SLICING_RECIPES, plan_of(2, 5)):
        assert peak_bytes(call) < 0.7 * whole


def test_with_a_cache_a_block_computes_as_it_is() -> None:
    """One token after another, as Parti draws them: bit-equal, since nothing is cut."""
    model = block("both", torch.float32)
    torch.manual_seed(1)
    tokens, context = torch.randn(2, 5, WIDTH), torch.randn(2, 9, WIDTH)

    def decoded() -> Tensor:
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        return torch.cat([model(tokens[:, n : n + 1], context, cache) for n in range(5)], dim=1)

    with torch.inference_mode():
        expected = decoded()
        with sliced_by(model, SLICING_RECIPES, plan_of(2, 5)):
            assert torch.equal(decoded(), expected)


def test_the_workloads_hand_them_over() -> None:
    assert Muse.slicing_recipes is SLICING_RECIPES
    assert Parti.slicing_recipes is SLICING_RECIPES
