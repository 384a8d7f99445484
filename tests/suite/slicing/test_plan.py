"""Slice plans and bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import ConfigError
from suite.slicing.plan import SlicePlan, cuts


@given(st.integers(1, 200), st.integers(1, 300))
def test_cuts_cover_everything_once_in_order_and_none_is_empty(length: int, count: int) -> None:
    bounds = cuts(length, count)
    assert [position for start, stop in bounds for position in range(start, stop)] == list(range(length))
    sizes = [stop - start for start, stop in bounds]
    assert len(bounds) <= count
    assert min(sizes) >= 1
    assert set(sizes[:-1]) <= {sizes[0]}
    assert sizes[-1] <= sizes[0]


def test_a_count_that_does_not_divide_gives_a_smaller_last_slice() -> None:
    assert cuts(7, 3) == [(0, 3), (3, 6), (6, 7)]
    assert cuts(5, 4) == [(0, 2), (2, 4), (4, 5)]
    assert cuts(2, 8) == [(0, 1), (1, 2)]


def test_small_features_are_cut_less() -> None:
    plan = SlicePlan(frame_slices=8, smallest_slice=100)
    assert [plan.affordable(8, elements) for elements in (50, 250, 10_000)] == [1, 2, 8]


def test_it_says_from_which_size_on_features_are_cut() -> None:
    plan = SlicePlan(frame_slices=8, smallest_slice=1000)
    assert plan.told() == " (features of 2,000 elements or more)"
    assert [plan.affordable(8, elements) for elements in (1999, 2000)] == [1, 2]
    assert not SlicePlan(frame_slices=8).told()


@pytest.mark.parametrize("key", ["batch_slices", "frame_slices", "pixel_slices", "token_slices", "smallest_slice"])
def test_a_count_below_one_is_one_sentence(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}=0: a whole number of at least 1"):
        SlicePlan(**{key: 0})
