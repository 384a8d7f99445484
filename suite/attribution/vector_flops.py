"""FLOPs of what vector units compute, from shapes alone: elementwise operators, reductions, norms, and attention's softmax.

Elements times operations. One operation is an addition, product, quotient, comparison, root or power, or one value of exp, log,
sin, cos, tanh or erf; as XLA's cost analysis has it (HloCostAnalysis: an elementwise instruction counts its output's elements,
a reduction the elements that it folds away), but for functions such as exp, which XLA counts apart. An operator made of
several counts as many as its definition in torch's documentation takes, written beside it: what is defined, whatever a kernel
does. Not counted: choosing, moving and casting values, a mask of fused attention, an addition's ``alpha``, and what is fused
into a product or a convolution, such as its bias. Integers and complex numbers count like real ones.

These are no FLOPs of matrix units ("non-matmul FLOPs", Dao 2023, arXiv 2307.08691) and stand apart from those of
`suite.attribution.flops`, which torch's FlopCounterMode counts alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from math import prod

from suite.attribution.flops import Formula, Shape, Shapes, Values, attention_flops

_Count = Callable[[int], int]


def vector_flops(name: str, shapes: Shapes, values: Values = ()) -> int | None:
    """FLOPs of one call; None where there is no formula, or where the shapes are not known or make no sense.

    Args:
        name: of the operator, with its namespace, such as ``aten::add_``; what is done in place counts like what is not.
        shapes: one an argument, in the order of the schema; empty for a tensor without dimensions and for what is no tensor.
        values: one an argument.
    """
    formula = VECTOR_FORMULAS.get(name) or VECTOR_FORMULAS.get(name.removesuffix("_"))
    if formula is None or not shapes:
        return None
    try:
        return formula(shapes, values)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _per_element(operations: int) -> Formula:
    """Of each element of what all arguments broadcast to."""
    return lambda shapes, _: operations * prod(_broadcast(shapes))


def _broadcast(shapes: Shapes) -> list[int]:
    longest = max(len(shape) for shape in shapes)
    sizes = []
    for lengths in zip(*([1] * (longest - len(shape)) + list(shape) for shape in shapes), strict=True):
        wide = {length for length in lengths if length != 1}
        if len(wide) > 1:
            raise ValueError(f"{shapes} do not broadcast")
        sizes.append(wide.pop() if wide else 1)
    return sizes


def _per_row(count: _Count, *, at: int = 1, names_one: bool = True) -> Formula:
    """`count(n)` for every row of n elements along the dimensions that argument `at` names; of all where it names none.

    With `names_one`, it may name one by a number; else a number is something else, such as the data type of a sum.
    """

    def formula(shapes: Shapes, values: Values) -> int:
        if not values:
            raise LookupError("a trace without values does not tell what is reduced")
        named = values[at] if len(values) > at else ()
        if isinstance(named, int):
            named = [named] if names_one and not isinstance(named, bool) else ()
        return _rows(shapes[0], named or (), count)

    return formula


def _per_line(count: _Count) -> Formula:
    """`count(n)` for every line of n elements along the one dimension that argument 1 must name."""
    return lambda shapes, values: _rows(shapes[0], [operator.index(values[1])], count)


def _reduced(count: _Count) -> Formula:
    """As `_per_row`, but elementwise where argument 1 is a tensor, as of ``torch.max(a, b)``."""
    elementwise, rows = _per_element(1), _per_row(count)
    return lambda shapes, values: (elementwise if len(shapes) > 1 and shapes[1] else rows)(shapes, values)


def _rows(shape: Shape, dims: Sequence[int], count: _Count) -> int:
    length = prod(shape[dim] for dim in dims) if dims and shape else prod(shape)
    return prod(shape) // length * count(length) if length else 0


def _softmax(n: int) -> int:
    return 5 * n - 2  # largest: n - 1, less it: n, exp: n, their sum: n - 1, over it: n


def _layer_norm(shapes: Shapes, values: Values) -> int:
    """``input, normalized_shape, weight, bias``."""
    elements, width = prod(shapes[0]), prod(values[1])
    return _normalized(elements, elements // width) + elements * _num_given(shapes[2:4])


def _group_norm(shapes: Shapes, values: Values) -> int:
    """``input, weight, bias, N, C, HxW, groups``."""
    elements = prod(shapes[0])
    return _normalized(elements, values[3] * values[6]) + elements * _num_given(shapes[1:3])


def _normalized(elements: int, rows: int) -> int:
    """Mean n, less it n, squares n, their mean n, eps and root 2, product n: (x - mean) / sqrt(var + eps)."""
    return 5 * elements + 2 * rows


def _rms_norm(shapes: Shapes, values: Values) -> int:
    """``input, normalized_shape, weight``: squares n, their mean n, eps and root 2, product n."""
    elements, width = prod(shapes[0]), prod(values[1])
    return 3 * elements + 2 * (elements // width) + elements * _num_given(shapes[2:3])


def _batch_norm(shapes: Shapes, _: Values) -> int:
    """``input, weight, bias``, with means and variances that are known (inference): less it, times it, eps and root."""
    elements, channels = prod(shapes[0]), shapes[0][1]
    return 2 * elements + 2 * channels + elements * _num_given(shapes[1:3])


def _num_given(weights: Shapes) -> int:
    return sum(1 for shape in weights if shape)


def _fused(shapes: Shapes, _: Values) -> int:
    """Scale and softmax of fused attention's scores, ``[..., heads, length, dim]``."""
    query, key, value = shapes[:3]
    attention_flops(query, key, value)  # raises what it must where the shapes are no attention
    return prod(query[:-1]) * (key[-2] + _softmax(key[-2]))


def _fused_length_first(shapes: Shapes, values: Values) -> int:
    """The same of ``[batch, length, heads, dim]``."""
    return _fused([[b, h, n, d] for b, n, h, d in shapes[:3]], values)


_OPERATIONS: Mapping[int, str] = {
    # chosen, copied, or written as constants
    0: "where masked_fill tril triu arange linspace eye",
    # one operation each; comparisons, and functions of one argument that are counted as one
    1: """
        add sub rsub mul div true_divide floor_divide remainder fmod pow square sqrt rsqrt reciprocal neg abs sign sgn exp exp2
        expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh erf erfc floor ceil round trunc frac
        eq ne lt le gt ge isnan isinf isneginf isposinf isfinite maximum minimum fmax fmin clamp_min clamp_max
        logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_not bitwise_xor __and__ __or__ __xor__
        relu complex
    """,
    2: """
        clamp hardtanh relu6 leaky_relu addcmul addcdiv softplus
    """,  # min(max()); max(x, a x); a + b c; log1p(exp(x))
    3: "lerp",  # a + w (b - a)
    4: "sigmoid silu elu polar",  # 1 / (1 + exp(-x)); x / (1 + exp(-x)); x or a (exp(x) - 1); r cos, r sin
    5: "gelu hardswish mish",  # x (1 + erf(c x)) / 2, its tanh form too; x min(max(x + 3, 0), 6) / 6; x tanh(log(1 + exp(x)))
}
"""Operations an element, and the operators that take so many."""

_REDUCTIONS: Mapping[str, Formula] = {
    **dict.fromkeys(("amax", "amin", "argmax", "argmin", "all", "any", "count_nonzero"), _per_row(lambda n: n - 1)),
    "sum": _per_row(lambda n: n - 1, names_one=False),
    "mean": _per_row(lambda n: n, names_one=False),  # the sum and one division
    **dict.fromkeys(("max", "min"), _reduced(lambda n: n - 1)),
    "aminmax": _per_row(lambda n: 2 * n - 2),
    **dict.fromkeys(("cumsum", "cumprod"), _per_line(lambda n: n - 1)),
    **dict.fromkeys(("var", "var_mean"), _per_row(lambda n: 4 * n)),  # mean n, less it n, squares n, their mean n
    **dict.fromkeys(("std", "std_mean"), _per_row(lambda n: 4 * n + 1)),
    "logsumexp": _per_row(lambda n: 4 * n),  # largest n - 1, less it n, exp n, sum n - 1, log and sum 2
    **dict.fromkeys(("_softmax", "_safe_softmax"), _per_line(_softmax)),
    "_log_softmax": _per_line(lambda n: 5 * n - 1),  # largest n - 1, less it n, exp n, sum n - 1, log 1, less it n
}

_NORMS: Mapping[str, Formula] = {
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "_fused_rms_norm": _rms_norm,
    **dict.fromkeys(("cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    # Vectors of length n: squares n, their sum n - 1, root 1. Of other orders, it is no more than that.
    "linalg_vector_norm": _per_row(lambda n: 2 * n, at=2),
}

_ATTENTION: Mapping[str, Formula] = {
    **dict.fromkeys(
        (
            "aten::scaled_dot_product_attention",
            "aten::_scaled_dot_product_flash_attention",
            "aten::_scaled_dot_product_flash_attention_for_cpu",
            "aten::_scaled_dot_product_efficient_attention",
            "aten::_scaled_dot_product_cudnn_attention",
            "aten::_scaled_dot_product_fused_attention_overrideable",
            "aten::_scaled_dot_product_attention_math",
            "aten::_cudnn_attention_forward",
        ),
        _fused,
    ),
    **dict.fromkeys(
        (
            "aten::_flash_attention_forward",
            "aten::_efficient_attention_forward",
            "flash_attn::_flash_attn_forward",
        ),
        _fused_length_first,
    ),
}

READ_BY_VALUE = frozenset(f"aten::{name}" for name in (*_REDUCTIONS, *_NORMS))
"""Operators whose formulas need values: which dimensions are reduced, how many groups there are."""

VECTOR_FORMULAS: Mapping[str, Formula] = {
    **{
        f"aten::{name}": _per_element(operations) for operations, names in _OPERATIONS.items() for name in names.split()
    },
    **{f"aten::{name}": formula for name, formula in (_REDUCTIONS | _NORMS).items()},
    **_ATTENTION,
}
"""Operators that compute so themselves. What only calls them, such as ``aten::group_norm``, has none."""
