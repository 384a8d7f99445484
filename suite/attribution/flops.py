"""FLOPs of one call from shapes alone.

A multiply and an add are two. Matrix products and convolutions are counted, and what is made of them; nothing else is.

Pure functions, so that a trace (shapes as text) and a simulation (shapes of tensors that do not exist) count alike. An
operator of `FORMULAS` does the work itself. One of `WRAPPERS` is counted only where nothing it called has been, since
most of the time it only passes the work on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

Shape = Sequence[int]
Shapes = Sequence[Shape]
"""One shape an argument, in the order of the operator's schema; empty for what is no tensor."""
Values = Sequence[Any]
"""One value an argument; None for tensors and for what is not given."""
Formula = Callable[[Shapes, Values], int]


def flops(operator: str, shapes: Shapes, values: Values = ()) -> int | None:
    """FLOPs of one call; None where there is no formula, or where the shapes are not known or make no sense."""
    formula = FORMULAS.get(operator) or WRAPPERS.get(operator)
    if formula is None:
        return None
    try:
        return formula(shapes, values)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def matmul_flops(left: Shape, right: Shape) -> int:
    """``[..., m, k] @ [..., k, n]``, batch dimensions broadcast."""
    *left_batch, m, k = left
    *right_batch, k_right, n = right
    if k != k_right:
        raise ValueError(f"{left} and {right} cannot be multiplied")
    return 2 * _broadcast_size(left_batch, right_batch) * m * k * n


def linear_flops(features: Shape, weight: Shape) -> int:
    """``[..., in] x [out, in]``."""
    *batch, width = features
    width_out, width_in = weight
    if width != width_in:
        raise ValueError(f"{features} does not fit a weight of {weight}")
    return 2 * prod(batch) * width_in * width_out


def attention_flops(query: Shape, key: Shape, value: Shape) -> int:
    """Scores and their product with the values, ``[..., heads, length, dim]``; a causal mask saves nothing here.

    Keys and values may have fewer heads than the query (grouped-query attention).
    """
    *_, key_length, key_dim = key
    if query[-1] != key_dim or value[-2] != key_length:
        raise ValueError(f"{query}, {key} and {value} are no attention")
    return 2 * prod(query[:-1]) * key_length * (key_dim + value[-1])


def convolution_flops(
    image: Shape,
    weight: Shape,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool = False,
) -> int:
    """``[batch, channels, *space]`` with ``[out, in / groups, *filter]``; transposed, ``[in, out / groups, *filter]``."""
    space, window = image[2:], weight[2:]
    if len(space) != len(window) or not space:
        raise ValueError(f"{image} cannot be convolved with {weight}")
    # A transposed convolution applies the filter once to every place of its input.
    places = space if transposed else _output_space(space, window, stride, padding, dilation)
    return 2 * image[0] * prod(places) * prod(weight)


def _output_space(space: Shape, window: Shape, stride: Shape, padding: Shape, dilation: Shape) -> list[int]:
    def along(axis: int) -> int:
        # One value may stand for all axes.
        s, p, d = (setting[axis if len(setting) > 1 else 0] for setting in (stride, padding, dilation))
        return (space[axis] + 2 * p - d * (window[axis] - 1) - 1) // s + 1

    return [along(axis) for axis in range(len(space))]


def _broadcast_size(left: Shape, right: Shape) -> int:
    longest = max(len(left), len(right))
    sides = ([1] * (longest - len(side)) + list(side) for side in (left, right))
    return prod(max(pair) for pair in zip(*sides, strict=True))


def _matmul(first: int) -> Formula:
    """The matrices are arguments `first` and the next."""
    return lambda shapes, _: matmul_flops(shapes[first], shapes[first + 1])


def _vector(first: int) -> Formula:
    return lambda shapes, _: matmul_flops(shapes[first], [*shapes[first + 1], 1])


def _dot(shapes: Shapes, _: Values) -> int:
    (length,) = shapes[0]
    return 2 * length


def _any_matmul(shapes: Shapes, _: Values) -> int:
    """``torch.matmul``: a vector on the left is a row, on the right a column."""
    left = [1, *shapes[0]] if len(shapes[0]) == 1 else shapes[0]
    right = [*shapes[1], 1] if len(shapes[1]) == 1 else shapes[1]
    return matmul_flops(left, right)


def _linear(shapes: Shapes, _: Values) -> int:
    return linear_flops(shapes[0], shapes[1])


def _attention(shapes: Shapes, _: Values) -> int:
    return attention_flops(*shapes[:3])


def _attention_length_first(shapes: Shapes, _: Values) -> int:
    """``[batch, length, heads, dim]``. Packed sequences of different lengths have three dimensions: not known here."""
    query, key, value = ([b, h, n, d] for b, n, h, d in shapes[:3])
    return attention_flops(query, key, value)


def _convolution(stride: int, padding: int, dilation: int, transposed: int | None = None) -> Formula:
    """Arguments 0 and 1 are image and filter; the numbers say where the settings are."""

    def formula(shapes: Shapes, values: Values) -> int:
        flip = transposed is not None and bool(values[transposed])
        settings = ([1], [0], [1]) if flip else (values[stride], values[padding], values[dilation])
        return convolution_flops(shapes[0], shapes[1], *settings, transposed=flip)

    return formula


FORMULAS: Mapping[str, Formula] = {
    "aten::mm": _matmul(0),
    "aten::addmm": _matmul(1),
    "aten::_addmm_activation": _matmul(1),
    "aten::bmm": _matmul(0),
    "aten::baddbmm": _matmul(1),
    "aten::addbmm": _matmul(1),
    "aten::_scaled_mm": _matmul(0),
    "aten::_int_mm": _matmul(0),
    "aten::mv": _vector(0),
    "aten::addmv": _vector(1),
    "aten::dot": _dot,
    "aten::vdot": _dot,
    "aten::mkldnn_linear": _linear,
    "aten::_weight_int8pack_mm": _linear,
    "mkldnn::_linear_pointwise": _linear,
    "aten::convolution": _convolution(3, 4, 5, 6),
    "aten::_convolution": _convolution(3, 4, 5, 6),
    "aten::convolution_overrideable": _convolution(3, 4, 5, 6),
    "aten::mkldnn_convolution": _convolution(4, 3, 5),
    "aten::miopen_convolution": _convolution(4, 3, 5),
    "aten::cudnn_convolution": _convolution(3, 2, 4),
    "mkldnn::_convolution_pointwise": _convolution(4, 3, 5),
    "aten::_scaled_dot_product_flash_attention": _attention,
    "aten::_scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten::_scaled_dot_product_efficient_attention": _attention,
    "aten::_scaled_dot_product_cudnn_attention": _attention,
    "aten::_scaled_dot_product_fused_attention_overrideable": _attention,
    "aten::_cudnn_attention_forward": _attention,
    "aten::_flash_attention_forward": _attention_length_first,
    "aten::_efficient_attention_forward": _attention_length_first,
    "flash_attn::_flash_attn_forward": _attention_length_first,
}
"""Operators that multiply matrices or convolve themselves."""

WRAPPERS: Mapping[str, Formula] = {
    "aten::linear": _linear,
    "aten::matmul": _any_matmul,
    "aten::scaled_dot_product_attention": _attention,
    "aten::_scaled_dot_product_attention_math": _attention,
}
"""Operators that mostly call one of `FORMULAS`, and are leaves on some devices and in some modes."""
