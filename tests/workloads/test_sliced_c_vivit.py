"""C-ViViT's decoder slice by slice: exact on grids of any shape, with less memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import DTYPES, check_exact, sliced_by
from optimizations.live_bytes import peak_bytes
from torch import Tensor

from suite.slicing.plan import SlicePlan
from workloads.c_vivit import CViViTDecoder
from workloads.phenaki import Phenaki
from workloads.sliced_c_vivit import SLICING_RECIPES
from workloads.transformer import TransformerBlock

CODES = 50


def made(grid: tuple[int, int, int], dtype: torch.dtype = torch.float32) -> CViViTDecoder:
    torch.manual_seed(0)
    return (
        CViViTDecoder(
            grid,
            codebook_size=CODES,
            code_width=8,
            width=32,
            mlp_width=128,
            num_heads=2,
            num_temporal_layers=2,
            num_spatial_layers=2,
            frames_per_token=2,
            patch_size=4,
        )
        .to(dtype)
        .eval()
    )


def caller(decoder: CViViTDecoder, batch_size: int) -> Callable[[], Tensor]:
    torch.manual_seed(1)
    times, rows, columns = decoder.grid
    tokens = torch.randint(CODES, (batch_size, times * rows * columns))
    return lambda: decoder(tokens)


@given(
    batch_size=st.integers(1, 3),
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 7)),
    counts=st.tuples(*[st.integers(1, 6)] * 3),
    dtype=st.sampled_from(DTYPES),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_the_output_is_the_unsliced_one_to_rounding(
    batch_size: int, grid: tuple[int, int, int], counts: tuple[int, ...], dtype: torch.dtype
) -> None:
    """A single row of tokens along time is the first frame alone."""
    frames, pixels, tokens = counts
    decoder = made(grid, dtype)
    plan = SlicePlan(frame_slices=frames, pixel_slices=pixels, token_slices=tokens)
    check_exact(decoder, lambda decoder: caller(decoder, batch_size), SLICING_RECIPES, plan)


def test_it_needs_less_memory() -> None:
    decoder = made((4, 9, 7))
    call = caller(decoder, 2)
    whole = peak_bytes(call)
    with sliced_by(decoder, SLICING_RECIPES, SlicePlan(frame_slices=4, pixel_slices=6, token_slices=5)) as served:
        assert served == {CViViTDecoder, TransformerBlock}
        assert peak_bytes(call) < 0.6 * whole


def test_the_workload_hands_them_over() -> None:
    assert Phenaki.slicing_recipes is SLICING_RECIPES
