"""FLOPs against torch's own counter, which sees the tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from suite.attribution.flops import FORMULAS, WRAPPERS, flops

SIZES = st.integers(1, 5)


def counted(operator: Any, *arguments: Any, **options: Any) -> int:
    """What torch counts for this call; on meta tensors nothing is computed."""
    with FlopCounterMode(display=False) as counter:
        operator(*arguments, **options)
    return counter.get_total_flops()


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    num_axes = data.draw(st.integers(1, 3))
    axes = st.lists(st.integers(1, 3), min_size=num_axes, max_size=num_axes)
    space = data.draw(st.lists(st.integers(1, 9), min_size=num_axes, max_size=num_axes))
    window, stride, dilation = data.draw(axes), data.draw(axes), data.draw(axes)
    padding = [size - 1 for size in data.draw(axes)]
    transposed, groups = data.draw(st.booleans()), data.draw(st.integers(1, 3))
    channels, out = groups * data.draw(SIZES), groups * data.draw(SIZES)
    weight = [channels, out // groups, *window] if transposed else [out, channels // groups, *window]
    image = [data.draw(SIZES), channels, *space]
    values = [None, None, None, stride, padding, dilation, transposed, [0] * num_axes, groups]
    try:
        expected = counted(torch.convolution, meta(*image), meta(*weight), *values[2:])
    except RuntimeError:
        assume(False)  # the filter is larger than the padded image
    assert flops("aten::convolution", [image, weight, [], [], [], [], [], [], []], values) == expected


def test_the_names_of_convolutions_differ_in_the_order_of_their_settings() -> None:
    image, weight = [2, 6, 9, 8], [4, 3, 3, 2]
    stride, padding, dilation, groups = [2, 1], [1, 0], [1, 2], 2
    expected = counted(torch.conv2d, meta(*image), meta(*weight), None, stride, padding, dilation, groups)
    by_name = {
        "aten::_convolution": [None, None, None, stride, padding, dilation, False, [0, 0], groups],
        "aten::mkldnn_convolution": [None, None, None, padding, stride, dilation, groups],
        "aten::miopen_convolution": [None, None, None, padding, stride, dilation, groups, False, False],
        "aten::cudnn_convolution": [None, None, padding, stride, dilation, groups, False, False, True],
        "mkldnn::_convolution_pointwise": [None, None, None, padding, stride, dilation, groups],
    }
    for operator, values in by_name.items():
        schema = torch._C._jit_get_schemas_for_operator(operator)
        names = [argument.name for argument in schema[0].arguments] if schema else []
        if names:  # not every build of torch has every one
            assert values[names.index("stride")] == stride
            assert values[names.index("padding")] == padding
            assert values[names.index("dilation")] == dilation
        assert flops(operator, [image, weight, *[[]] * (len(values) - 2)], values) == expected


@given(b=SIZES, m=SIZES, k=SIZES, n=SIZES)
def test_products(b: int, m: int, k: int, n: int) -> None:
    one, batch = [[m, k], [k, n]], [[b, m, k], [b, k, n]]
    product, batched = (counted(torch.matmul, *(meta(*shape) for shape in pair)) for pair in (one, batch))
    assert product == 2 * m * k * n
    for operator in ("mm", "_int_mm", "_scaled_mm"):
        assert flops(f"aten::{operator}", one) == product
    for operator in ("addmm", "_addmm_activation"):
        assert flops(f"aten::{operator}", [[n], *one]) == product
    assert flops("aten::bmm", batch) == batched
    assert flops("aten::baddbmm", [[b, m, n], *batch]) == counted(
        torch.baddbmm, meta(b, m, n), meta(b, m, k), meta(b, k, n)
    )
    assert flops("aten::addbmm", [[m, n], *batch]) == batched
    assert flops("aten::mv", [[m, k], [k]]) == 2 * m * k
    assert flops("aten::dot", [[k], [k]]) == 2 * k
    assert flops("aten::linear", [[b, m, k], [n, k], [n]]) == batched
    assert flops("aten::mkldnn_linear", [[b, m, k], [n, k], [n]]) == batched


@pytest.mark.parametrize(
    ("left", "right"),
    [([3], [3]), ([2, 3], [3]), ([3], [3, 4]), ([5, 2, 3], [3, 4]), ([5, 1, 2, 3], [6, 3, 4]), ([1, 2, 3], [7, 3, 4])],
)
def test_matmul_broadcasts(left: list[int], right: list[int]) -> None:
    batch = torch.broadcast_shapes(left[:-2], right[:-2])
    rows, columns = (left[-2] if len(left) > 1 else 1), (right[-1] if len(right) > 1 else 1)
    assert flops("aten::matmul", [left, right]) == 2 * torch.Size(batch).numel() * rows * columns * left[-1]


@settings(max_examples=50, deadline=None)
@given(b=SIZES, groups=SIZES, key_heads=SIZES, q=SIZES, k=SIZES, d=SIZES, v=SIZES)
def test_attention(b: int, groups: int, key_heads: int, q: int, k: int, d: int, v: int) -> None:
    query, key, value = [b, groups * key_heads, q, d], [b, key_heads, k, d], [b, key_heads, k, v]
    with sdpa_kernel(SDPBackend.MATH):
        tensors = [torch.zeros(shape) for shape in (query, key, value)]
        expected = counted(torch.nn.functional.scaled_dot_product_attention, *tensors, enable_gqa=True)
    heads_first = [name for name in {**FORMULAS, **WRAPPERS} if "scaled_dot_product" in name]
    assert len(heads_first) >= 6
    for operator in (*heads_first, "aten::_cudnn_attention_forward"):
        assert flops(operator, [query, key, value, []]) == expected
    length_first = [[shape[0], shape[2], shape[1], shape[3]] for shape in (query, key, value)]
    for operator in ("aten::_flash_attention_forward", "aten::_efficient_attention_forward"):
        assert flops(operator, [*length_first, []]) == expected


@pytest.mark.parametrize(
    ("operator", "shapes", "values"),
    [
        ("aten::mm", [], []),
        ("aten::mm", [[2, 3], [4, 5]], []),
        ("aten::mm", [[], []], []),
        ("aten::bmm", [[[2, 3, 4]], [2, 4, 5]], []),
        ("aten::convolution", [[1, 2, 3, 4], [2, 2, 3]], [None] * 9),
        ("aten::convolution", [[1, 2, 3, 4], [2, 2, 3, 3]], []),
        ("aten::_flash_attention_forward", [[9, 2, 8], [9, 2, 8], [9, 2, 8]], []),
        ("aten::silu", [[3]], []),
    ],
)
def test_what_cannot_be_counted_is_none_and_never_zero(operator: str, shapes: Any, values: Any) -> None:
    assert flops(operator, shapes, values) is None
