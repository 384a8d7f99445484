"""FLOPs of vector units against definitions that are computed number by number: their values are torch's, and each operation
that they take is counted while it is done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.attribution.flops import FORMULAS, WRAPPERS, flops
from suite.attribution.taxonomy import computes
from suite.attribution.vector_flops import VECTOR_FORMULAS, vector_flops

Numbers = Sequence["Number"]


class Number:
    """A number that counts what is done with numbers."""

    operations = 0

    def __init__(self, value: float) -> None:
        self.value = value

    def __add__(self, other: Number | float) -> Number:
        return once(lambda a, b: a + b, self, other)

    def __sub__(self, other: Number | float) -> Number:
        return once(lambda a, b: a - b, self, other)

    def __mul__(self, other: Number | float) -> Number:
        return once(lambda a, b: a * b, self, other)

    def __truediv__(self, other: Number | float) -> Number:
        return once(lambda a, b: a / b, self, other)


def once(function: Callable[..., float], *numbers: Number | float) -> Number:
    Number.operations += 1
    return Number(function(*(number.value if isinstance(number, Number) else number for number in numbers)))


def exp(x: Number) -> Number:
    return once(math.exp, x)


def root(x: Number) -> Number:
    return once(math.sqrt, x)


def total(numbers: Numbers) -> Number:
    first, *others = numbers
    for number in others:
        first = first + number
    return first


def largest(numbers: Numbers) -> Number:
    first, *others = numbers
    for number in others:
        first = once(max, first, number)
    return first


def mean(numbers: Numbers) -> Number:
    return total(numbers) / len(numbers)


def sigmoid(x: Number) -> Number:
    return Number(1) / (exp(once(lambda a: -a, x)) + 1)


ONE_BY_ONE: dict[str, Callable[[Number], Number]] = {
    "silu": lambda x: x / (exp(once(lambda a: -a, x)) + 1),
    "sigmoid": sigmoid,
    "gelu": lambda x: x * (once(math.erf, x * math.sqrt(0.5)) + 1) * 0.5,
    "relu": lambda x: once(max, x, 0.0),
    "relu6": lambda x: once(min, once(max, x, 0.0), 6.0),
    "softplus": lambda x: once(math.log1p, exp(x)),
    "mish": lambda x: x * once(math.tanh, once(math.log, exp(x) + 1)),
    "hardswish": lambda x: x * once(min, once(max, x + 3, 0.0), 6.0) / 6,
    "exp": exp,
    "rsqrt": lambda x: once(lambda a: a**-0.5, x),
    "tanh": lambda x: once(math.tanh, x),
    "square": lambda x: x * x,
}


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_elementwise_operators_take_what_their_definition_does(name: str) -> None:
    x = torch.rand(2, 3, dtype=torch.float64) + 0.1
    Number.operations = 0
    values = [ONE_BY_ONE[name](Number(value)).value for value in x.flatten().tolist()]
    function = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    assert torch.allclose(function(x).flatten(), torch.tensor(values, dtype=torch.float64))
    for operator in (f"aten::{name}", f"aten::{name}_"):
        assert vector_flops(operator, [[2, 3]], [None]) == Number.operations > 0


@given(st.data())
def test_two_tensors_count_what_they_broadcast_to(data: st.DataObject) -> None:
    whole = data.draw(st.lists(st.integers(1, 4), max_size=4))
    left, right = ([data.draw(st.sampled_from([1, n])) for n in whole] for _ in range(2))
    right = right[data.draw(st.integers(0, len(right))) :]
    expected = (torch.empty(left) + torch.empty(right)).numel()
    assert vector_flops("aten::mul", [left, right], [None, None]) == expected
    assert vector_flops("aten::add_", [left, right, []], [None, None, 1]) == expected
    assert vector_flops("aten::maximum", [left, right], [None, None]) == expected
    assert (
        vector_flops("aten::max", [left, right], [None, None]) == expected or not right
    )  # else there is but one tensor


def softmax(row: Numbers) -> list[Number]:
    most = largest(row)
    powers = [exp(x - most) for x in row]
    whole = total(powers)
    return [power / whole for power in powers]


def log_softmax(row: Numbers) -> list[Number]:
    most = largest(row)
    less = [x - most for x in row]
    logarithm = once(math.log, total([exp(x) for x in less]))
    return [x - logarithm for x in less]


def centred(row: Numbers) -> tuple[list[Number], Number]:
    """Less its mean, and its variance."""
    middle = mean(row)
    less = [x - middle for x in row]
    return less, mean([x * x for x in less])


def normalized(row: Numbers) -> list[Number]:
    less, spread = centred(row)
    scale = once(lambda a: a**-0.5, spread + 1e-5)
    return [x * scale for x in less]


def rms(row: Numbers) -> list[Number]:
    scale = once(lambda a: a**-0.5, mean([x * x for x in row]) + 1e-5)
    return [x * scale for x in row]


def log_sum(row: Numbers) -> list[Number]:
    most = largest(row)
    return [once(math.log, total([exp(x - most) for x in row])) + most]


ROW_BY_ROW: dict[str, tuple[Callable[[Numbers], list[Number]], Callable[[torch.Tensor], torch.Tensor], list[Any]]] = {
    "_softmax": (softmax, lambda x: x.softmax(-1), [None, -1, False]),
    "_log_softmax": (log_softmax, lambda x: x.log_softmax(-1), [None, -1, False]),
    "sum": (lambda row: [total(row)], lambda x: x.sum(-1), [None, [-1], False, None]),
    "mean": (lambda row: [mean(row)], lambda x: x.mean(-1), [None, [-1], False, None]),
    "amax": (lambda row: [largest(row)], lambda x: x.amax(-1), [None, [-1], False]),
    "max": (lambda row: [largest(row)], lambda x: x.max(-1)[0], [None, -1, False]),
    "var": (lambda row: [centred(row)[1]], lambda x: x.var(-1, correction=0), [None, [-1], 0, False]),
    "std": (lambda row: [root(centred(row)[1])], lambda x: x.std(-1, correction=0), [None, [-1], 0, False]),
    "logsumexp": (log_sum, lambda x: x.logsumexp(-1), [None, [-1], False]),
    "linalg_vector_norm": (
        lambda row: [root(total([x * x for x in row]))],
        lambda x: torch.linalg.vector_norm(x, dim=-1),
        [None, 2, [-1], False, None],
    ),
    "native_layer_norm": (normalized, lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]), [None, "width"]),
    "_fused_rms_norm": (rms, lambda x: torch.nn.functional.rms_norm(x, x.shape[-1:], eps=1e-5), [None, "width"]),
}  # fmt: skip


@settings(deadline=None, max_examples=20)
@given(rows=st.integers(1, 4), width=st.integers(1, 6), name=st.sampled_from(sorted(ROW_BY_ROW)))
def test_rows_take_what_their_definition_does(rows: int, width: int, name: str) -> None:
    definition, function, values = ROW_BY_ROW[name]
    x = torch.rand(rows, width, dtype=torch.float64) + 0.1
    Number.operations = 0
    ours = [n.value for row in x.tolist() for n in definition([Number(value) for value in row])]
    assert torch.allclose(function(x).flatten(), torch.tensor(ours, dtype=torch.float64))
    values = [[width] if value == "width" else value for value in values]
    shapes = [[rows, width], *[[] for _ in values[1:]], []]
    assert vector_flops(f"aten::{name}", shapes, values) == Number.operations


def test_weights_and_biases_of_norms_count_one_operation_an_element_each() -> None:
    plain = 5 * 24 + 2 * 6
    assert vector_flops("aten::native_layer_norm", [[2, 3, 4], [], [], [], []], [None, [4], None, None, 1e-5]) == plain
    shapes = [[2, 3, 4], [], [4], [4], []]
    assert vector_flops("aten::native_layer_norm", shapes, [None, [4], None, None, 1e-5]) == plain + 2 * 24
    image, groups = [2, 6, 5, 5], 3
    values = [None, None, None, 2, 6, 25, groups, 1e-5]
    expected = 5 * 300 + 2 * 2 * groups
    assert vector_flops("aten::native_group_norm", [image, [], [], *[[]] * 5], values) == expected
    assert vector_flops("aten::native_group_norm", [image, [6], [6], *[[]] * 5], values) == expected + 2 * 300


def test_fused_attention_counts_scale_and_softmax_of_its_scores() -> None:
    query, key = [2, 3, 5, 8], [2, 3, 7, 8]
    softmax_of_scores = vector_flops("aten::_softmax", [[2, 3, 5, 7], [], []], [None, -1, False])
    scale = vector_flops("aten::mul", [[2, 3, 5, 7], []], [None, 0.3])
    assert softmax_of_scores is not None
    assert scale is not None
    fused = vector_flops("aten::_scaled_dot_product_flash_attention", [query, key, key, [], [], [], []], [None] * 7)
    assert fused == softmax_of_scores + scale
    length_first = [[b, n, h, d] for b, h, n, d in (query, key, key)]
    assert vector_flops("aten::_flash_attention_forward", length_first, [None] * 3) == fused
    no_heads = [[2 * 3, *shape[2:]] for shape in (query, key, key)]
    assert vector_flops("aten::scaled_dot_product_attention", no_heads, [None] * 3) == fused


def test_all_of_a_tensor_is_one_row() -> None:
    assert vector_flops("aten::sum", [[3, 4], []], [None, 6]) == 11  # 6 is the data type
    assert vector_flops("aten::mean", [[3, 4]], [None]) == 12
    assert vector_flops("aten::argmax", [[3, 4], [], []], [None, None, False]) == 11
    assert vector_flops("aten::var", [[3, 4], []], [None, True]) == 4 * 12
    assert vector_flops("aten::all", [[0, 4], [], []], [None, 1, False]) == 0
    assert vector_flops("aten::sin", [[]], [None]) == 1  # no dimensions: one number


@pytest.mark.parametrize(
    ("operator", "shapes", "values"),
    [
        ("aten::sort", [[3], []], [None, -1]),
        ("aten::normal_", [[3], []], [None, 0.0]),
        ("aten::mul", [], []),
        ("aten::mul", [[2, 3], [4, 3]], [None, None]),
        ("aten::mul", [[[2, 3]], [4]], [None, None]),
        ("aten::sum", [[2, 3]], []),
        ("aten::_softmax", [[2, 3]], []),
        ("aten::_softmax", [[2, 3], [], []], [None, 5, False]),
        ("aten::native_layer_norm", [[2, 3]], []),
        ("aten::_flash_attention_forward", [[9, 2, 8], [9, 2, 8], [9, 2, 8]], []),  # packed: lengths are elsewhere
        ("aten::_scaled_dot_product_flash_attention", [[1, 2, 9, 8], [1, 2, 9, 4], [1, 2, 9, 8]], []),
    ],
)
def test_what_cannot_be_counted_is_none_and_never_zero(operator: str, shapes: Any, values: Any) -> None:
    assert vector_flops(operator, shapes, values) is None


@pytest.mark.parametrize("name", sorted(set(VECTOR_FORMULAS) & {*FORMULAS, *WRAPPERS}))
def test_attention_is_known_in_both_kinds_of_flops_or_in_none(name: str) -> None:
    for shapes in (
        [[1, 2, 9, 8]] * 3,
        [[2, 9, 8]] * 3,
        [[1, 2, 9, 8], [1, 2, 9, 4], [1, 2, 9, 8]],
        [[9, 2, 8]],
        [[]] * 3,
    ):
        assert (vector_flops(name, shapes) is None) == (flops(name, shapes) is None)


def test_no_operator_has_a_formula_that_moves_data_or_multiplies_matrices() -> None:
    attention = {name for name in FORMULAS if "attention" in name or "attn" in name}
    assert not (set(FORMULAS) - attention) & set(VECTOR_FORMULAS)
    silent = {name for name in VECTOR_FORMULAS if not computes(name)}
    assert not silent, f"{silent} compute nothing and need no formula"
