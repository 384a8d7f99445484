"""Transformer blocks: attention against torch's own multi-head attention, causality by changing what comes later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from transformers import DynamicCache, EncoderDecoderCache

from workloads.transformer import Attention, GridPositions, TransformerBlock

WIDTH, HEADS = 32, 4


@pytest.fixture(autouse=True)
def _seeded_and_in_float64() -> Iterator[None]:
    """What is compared here is computed in two ways; in float64 no choice of kernels tells them apart."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("num_queries", "num_keys", "causal"), [(6, 6, False), (6, 9, False), (6, 6, True)])
def test_attention_is_torchs_multi_head_attention(num_queries: int, num_keys: int, causal: bool) -> None:
    attention = Attention(WIDTH, HEADS, causal)
    reference = nn.MultiheadAttention(WIDTH, HEADS, bias=False, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(
            torch.cat([attention.query.weight, attention.key.weight, attention.value.weight])
        )
        reference.out_proj.weight.copy_(attention.out.weight)
    x_BND, context_BSD = torch.randn(2, num_queries, WIDTH), torch.randn(2, num_keys, WIDTH)
    if causal:
        context_BSD = x_BND
    mask = torch.ones(num_queries, num_keys).triu(1).bool() if causal else None
    expected = reference(x_BND, context_BSD, context_BSD, attn_mask=mask, need_weights=False)[0]
    torch.testing.assert_close(attention(x_BND, context_BSD), expected)


def test_a_causal_block_sees_nothing_that_comes_later() -> None:
    block = TransformerBlock(WIDTH, 64, HEADS, causal=True)
    x_BND = torch.randn(1, 8, WIDTH)
    changed_BND = x_BND.clone()
    changed_BND[:, 5] += 1
    difference_N = (block(x_BND) - block(changed_BND)).abs().amax(dim=(0, 2))
    assert (difference_N[:5] == 0).all()
    assert (difference_N[5:] > 0).all()


def test_cross_attention_is_there_only_where_asked_for() -> None:
    x_BND, context_BSD = torch.randn(1, 8, WIDTH), torch.randn(1, 3, WIDTH)
    crossing, plain = TransformerBlock(WIDTH, 64, HEADS, crosses=True), TransformerBlock(WIDTH, 64, HEADS)
    assert not crossing(x_BND, context_BSD).equal(crossing(x_BND, context_BSD + 1))
    assert plain(x_BND, context_BSD).equal(plain(x_BND))


def test_positions_of_a_grid_are_sums_along_its_axes_in_raster_order() -> None:
    positions = GridPositions((2, 3, 4), WIDTH)
    frames, rows, columns = positions.axes
    found = positions().view(2, 3, 4, WIDTH)
    torch.testing.assert_close(found[1, 2, 3], frames[1] + rows[2] + columns[3])
    torch.testing.assert_close(found[0, 1, 0], frames[0] + rows[1] + columns[0])


@torch.inference_mode()
def test_a_token_at_a_time_over_a_cache_is_the_whole_sequence_at_once() -> None:
    blocks = [TransformerBlock(WIDTH, 64, HEADS, crosses=True, causal=True) for _ in range(2)]
    x_BND, context_BSD = torch.randn(2, 5, WIDTH), torch.randn(2, 3, WIDTH)
    expected_BND = x_BND
    for block in blocks:
        expected_BND = block(expected_BND, context_BSD)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    found = []
    for token in range(5):
        one_B1D = x_BND[:, token : token + 1]
        for layer, block in enumerate(blocks):
            one_B1D = block(one_B1D, context_BSD, cache, layer)
        found.append(one_B1D)
        assert cache.get_seq_length() == token + 1
    torch.testing.assert_close(torch.cat(found, dim=1), expected_BND)
    assert cache.cross_attention_cache.get_seq_length() == 3, "keys of the context are computed once"
