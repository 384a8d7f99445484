"""LLaMA's layers, what follows attention by tokens: exact on prompts of any length, with less memory; single tokens as ever."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, check_exact, sliced_by
from optimizations.live_bytes import peak_bytes
from torch import Tensor
from transformers import DynamicCache, LlamaConfig, LlamaModel

from suite.slicing.plan import SlicePlan
from workloads.llama import Llama
from workloads.sliced_llama import SLICING_RECIPES

WORDS = 40


@cache
def model_of(dtype: torch.dtype) -> LlamaModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaModel(config).to(dtype).eval()


def prompt(batch_size: int, num_tokens: int) -> Tensor:
    return torch.randint(WORDS, (batch_size, num_tokens), generator=torch.Generator().manual_seed(1))


def caller(model: LlamaModel, batch_size: int, num_tokens: int) -> Callable[[], Tensor]:
    tokens = prompt(batch_size, num_tokens)
    return lambda: model(input_ids=tokens, use_cache=False).last_hidden_state


@given(
    batch_size=st.integers(1, 3),
    num_tokens=st.integers(1, 37),
    count=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    batch_size: int, num_tokens: int, count: int, dtype: torch.dtype
) -> None:
    plan = SlicePlan(token_slices=count)
    check_exact(model_of(dtype), lambda model: caller(model, batch_size, num_tokens), SLICING_RECIPES, plan)


def test_it_needs_less_memory() -> None:
    model = model_of(torch.float32)
    call = caller(model, 2, 131)
    whole = peak_bytes(call)
    with sliced_by(model, SLICING_RECIPES, SlicePlan(token_slices=5)):
        assert peak_bytes(call) < 0.8 * whole


def test_tokens_that_come_one_by_one_are_computed_as_they_are() -> None:
    """After a prompt that is sliced, the cache holds what it would hold, and single tokens are bit-equal."""
    model = model_of(torch.float64)

    def generated() -> Tensor:
        cache = DynamicCache()
        model(input_ids=prompt(2, 11), past_key_values=cache)
        return model(input_ids=prompt(2, 1), past_key_values=cache).last_hidden_state

    with torch.inference_mode():
        expected = generated()
        with sliced_by(model, SLICING_RECIPES, SlicePlan(token_slices=4)):
            assert torch.allclose(generated(), expected, rtol=1e-12, atol=1e-12)


def test_the_workload_hands_them_over() -> None:
    assert Llama.slicing_recipes is SLICING_RECIPES
