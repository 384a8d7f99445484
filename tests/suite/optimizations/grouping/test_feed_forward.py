"""Feed-forwards by tokens, wherever no larger group computes them: exact for every activation, with less memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers.models.attention import FeedForward
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, check_exact, normal, sliced_by
from optimizations.live_bytes import peak_bytes
from torch import Tensor

from suite.optimizations.grouping.feed_forward import RECIPES
from suite.slicing.plan import SlicePlan
from suite.slicing.recipe import by_class
from suite.slicing.sliced import computing_slice

WIDTH = 12


def made(activation: str, dtype: torch.dtype = torch.float32) -> FeedForward:
    torch.manual_seed(0)
    return FeedForward(WIDTH, activation_fn=activation).to(dtype).eval()


@pytest.mark.parametrize("activation", ["gelu", "gelu-approximate", "geglu", "swiglu"])
@given(
    batch_size=st.integers(1, 3),
    num_tokens=st.integers(1, 41),
    count=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    activation: str, batch_size: int, num_tokens: int, count: int, dtype: torch.dtype
) -> None:
    tokens = normal(batch_size, num_tokens, WIDTH, dtype=torch.float32)

    def caller(model: FeedForward) -> Callable[[], Tensor]:
        given = tokens.to(model.net[2].weight.dtype)
        return lambda: model(given)

    check_exact(made(activation, dtype), caller, by_class(RECIPES), SlicePlan(token_slices=count))


def test_it_needs_less_memory_unless_somebody_computes_a_slice_already() -> None:
    model, tokens = made("geglu"), torch.randn(2, 131, WIDTH)
    whole = peak_bytes(lambda: model(tokens))
    with sliced_by(model, by_class(RECIPES), SlicePlan(token_slices=5)):
        assert peak_bytes(lambda: model(tokens)) < 0.5 * whole
        with computing_slice():
            assert peak_bytes(lambda: model(tokens)) == whole
