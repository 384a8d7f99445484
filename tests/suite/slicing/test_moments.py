"""Group-norm statistics from slices, against torch's group norm in float64."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizations.exactness import assert_exact
from torch import nn

from suite.slicing.moments import Moments, moments_of_rows


def stock(norm: nn.GroupNorm, x: torch.Tensor, num_frames: int, dtype: torch.dtype) -> torch.Tensor:
    """The norm over ``[B, C, F, H, W]`` of frames ``[B*F, C, H, W]``, frames again."""
    volume = x.to(dtype).unflatten(0, (-1, num_frames)).transpose(1, 2)
    weight, bias = norm.weight.to(dtype), norm.bias.to(dtype)
    normalized = nn.functional.group_norm(volume, norm.num_groups, weight, bias, norm.eps)
    return normalized.transpose(1, 2).flatten(0, 1)


def affine_norm(num_groups: int, channels: int) -> nn.GroupNorm:
    norm = nn.GroupNorm(num_groups, channels)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.requires_grad_(False)


@given(
    batch_size=st.integers(1, 3),
    num_frames=st.integers(1, 5),
    size=st.integers(1, 7),
    count=st.integers(1, 8),
    mean=st.sampled_from([0.0, 3.0]),
)
@settings(max_examples=30, deadline=None)
def test_statistics_over_frames_are_those_of_the_whole(
    batch_size: int, num_frames: int, size: int, count: int, mean: float
) -> None:
    norm, x = affine_norm(4, 8), torch.randn(batch_size * num_frames, 8, size, 3) + mean
    scale, shift = moments_of_rows(x, 4, count).pooled(num_frames).affine(norm)
    found = x.unflatten(0, (-1, num_frames)) * scale[:, None, :, None, None] + shift[:, None, :, None, None]
    whole, reference = (stock(norm, x, num_frames, dtype) for dtype in (torch.float32, torch.float64))
    assert_exact(found.flatten(0, 1), whole, reference)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_slices_of_different_sizes_are_joined_by_their_weight(sizes: list[int]) -> None:
    x = torch.randn(2, 6, sum(sizes), dtype=torch.float64) * 3 + 1
    first, *others = (Moments.of(part, 3) for part in x.split(sizes, dim=-1))
    for other in others:
        first = first.joined(other)
    variance, mean = torch.var_mean(x.reshape(2, 3, -1), dim=-1, correction=0)
    assert torch.allclose(first.mean, mean, rtol=1e-13, atol=1e-13)
    assert torch.allclose(first.squares / first.count, variance, rtol=1e-12)


def test_a_large_mean_costs_no_digits_of_the_variance() -> None:
    """Mean of squares minus square of the mean would be off by more than the variance itself."""
    x = torch.randn(6, 8, 16, 16) + 1e4
    found = moments_of_rows(x, 4, 3).pooled(3)
    grouped = x.double().unflatten(0, (2, 3)).unflatten(2, (4, 2)).transpose(1, 2).flatten(2)
    variance = grouped.var(dim=-1, correction=0)
    naive = x.unflatten(0, (2, 3)).unflatten(2, (4, 2)).transpose(1, 2).flatten(2)
    naive_variance = naive.square().mean(-1) - naive.mean(-1).square()
    assert ((naive_variance - variance) / variance).abs().max() > 0.5
    assert torch.allclose((found.squares / found.count).double(), variance, rtol=1e-3)


def test_half_precision_is_gathered_in_float32_and_float64_stays() -> None:
    x = torch.randn(2, 4, 3, 3)
    assert Moments.of(x.half(), 2).mean.dtype == torch.float32
    assert Moments.of(x.bfloat16(), 2).squares.dtype == torch.float32
    assert Moments.of(x.double(), 2).mean.dtype == torch.float64


def test_a_norm_without_weights() -> None:
    norm, x = nn.GroupNorm(2, 4, affine=False), torch.randn(3, 4, 5, 5, dtype=torch.float64)
    scale, shift = Moments.of(x, 2).affine(norm)
    assert torch.allclose(x * scale[..., None, None] + shift[..., None, None], norm(x), atol=1e-12)
