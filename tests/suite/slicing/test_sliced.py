"""Slices written into one output."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from suite.slicing.sliced import computing_slice, inside_slice, sliced


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 2))
def test_the_output_is_that_of_one_call(length: int, count: int, axis: int) -> None:
    shape = [2, 3, 4]
    shape[axis] = length
    x, y = torch.randn(shape), torch.randn(shape)
    result = sliced(lambda a, b, none: (a * b).double() if none is None else none, [x, y, None], axis, count)
    assert torch.equal(result, (x * y).double())


def test_other_axes_and_the_data_type_may_change() -> None:
    x = torch.randn(5, 3, 4)
    assert torch.equal(sliced(lambda a: a.sum(-1).half(), [x], 0, 2), x.sum(-1).half())


def test_one_slice_is_the_function_on_the_inputs_themselves() -> None:
    x = torch.randn(5)
    seen: list[Tensor] = []
    sliced(lambda a: seen.append(a) or a, [x], 0, 1)
    assert seen[0] is x


def test_an_input_may_be_overwritten() -> None:
    x = torch.randn(7, 3)
    expected = x * 2 + 1
    assert sliced(lambda a: a * 2 + 1, [x], 0, 3, out=x) is x
    assert torch.equal(x, expected)


def test_channels_stay_innermost_where_the_slices_have_them_so() -> None:
    x = torch.randn(6, 4, 5, 5).to(memory_format=torch.channels_last)
    result = sliced(lambda a: a * 2, [x], 0, 3)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(result, x * 2)


def test_whoever_looks_knows_that_a_slice_is_computed() -> None:
    seen: list[bool] = []
    sliced(lambda a: seen.append(inside_slice()) or a, [torch.zeros(4)], 0, 2)
    sliced(lambda a: seen.append(inside_slice()) or a, [torch.zeros(4)], 0, 2, marked=False)
    assert seen == [True, True, False, False]
    with pytest.raises(KeyError), computing_slice():
        raise KeyError
    assert not inside_slice(), "left even where the function raises"
