"""Attention calls: found where a fused operator ran, and where the products and the softmax were spelled out one by one.

The core of a call is QK^T, softmax and AV. Fused, that is all inside the outermost ``scaled_dot_product_attention``.
Spelled out ("eager"), it is a softmax over scores ``[.., Q, K]``, the product before it that made ``[N, Q, K]``, the one
after it that multiplies ``[N, Q, K]`` by ``[N, K, d]``, what lies between them and has the shape of the scores (scale,
mask, dropout, casts), and a scale on the query right before the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from suite.attribution.calls import Call
from suite.attribution.context import Context
from suite.attribution.events import Events
from suite.attribution.nesting import Ints, Mask
from suite.attribution.taxonomy import ATTENTION_KERNELS, ATTENTION_KINDS, EAGER, SOFTMAX

_SDPA = "aten::scaled_dot_product_attention"
_LENGTH_FIRST = frozenset(
    {"aten::_flash_attention_forward", "aten::_efficient_attention_forward", "flash_attn::_flash_attn_forward"}
)
"""Operators that take ``[batch, length, heads, dim]``; the others take heads first."""
_PRODUCTS = {"aten::bmm": 0, "aten::baddbmm": 1}
"""Batched matrix products, and which of their arguments is the left matrix."""
_PRODUCT_WRAPPERS = frozenset({"aten::matmul", "aten::einsum"})
_SCALES = frozenset({"aten::mul", "aten::mul_", "aten::div", "aten::div_"})
_NEIGHBOURS = 4
"""How many products before and after a softmax are looked at for its own."""
_SOFTMAXES = frozenset({"aten::softmax", SOFTMAX})
_BETWEEN = frozenset({"elementwise", "data_movement"})


class AttentionCall(NamedTuple):
    """One call. `rows` make up its core, each with all that is inside it; of `wrappers` only the row itself does."""

    rows: tuple[int, ...]
    wrappers: tuple[int, ...]
    batch: int | None
    heads: int | None
    query_length: int | None
    key_length: int | None
    head_dim: int | None
    kernel: str | None
    precision: str | None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class _Product:
    """A batched matrix product ``[n, q, inner] @ [n, inner, k]``."""

    row: int
    n: int
    q: int
    inner: int
    k: int


def find_attention(events: Events, context: Context) -> list[AttentionCall]:
    """Every attention call inside the window, in time order, with the kind that the marks around it tell."""
    fused = events.nesting.outermost(events.is_operator & events.named(_SDPA, *ATTENTION_KERNELS))
    calls = _fused_calls(events, np.flatnonzero(fused & context.window))
    calls += _eager_calls(events, context, ~events.nesting.inside(fused) & context.window)
    calls.sort(key=lambda call: int(events.spans.start_ns[call.rows[0]]))
    return [call._replace(kind=kind) for call, kind in zip(calls, _marked_kinds(context, calls), strict=True)]


def core_rows(events: Events, calls: Sequence[AttentionCall]) -> Ints:
    """For every row of the events the number of the call whose core it belongs to; -1 for none."""
    core = np.full(len(events), -1)
    for number, call in enumerate(calls):
        for row in call.rows:
            core[row : events.nesting.stop[row]] = number
        core[list(call.wrappers)] = number
    return core


def _marked_kinds(context: Context, calls: list[AttentionCall]) -> list[str | None]:
    names = [*ATTENTION_KINDS, None]
    return [names[number] for number in context.kind[[call.rows[0] for call in calls]].tolist()] if calls else []


def _fused_calls(events: Events, rows: Ints) -> list[AttentionCall]:
    """One call a row; its kernel is the first inside that stands for one."""
    named = np.flatnonzero(events.is_operator & events.named(*ATTENTION_KERNELS))
    first = np.searchsorted(named, rows).tolist()
    calls = []
    for row, place in zip(rows.tolist(), first, strict=True):
        ran = int(named[place]) if place < len(named) and named[place] < events.nesting.stop[row] else row
        shaped = row if _is_attention(events.call(row)) else ran
        calls.append(_fused_call(row, events.call(shaped), ATTENTION_KERNELS.get(events.names[events.spans.name[ran]])))
    return calls


def _fused_call(row: int, call: Call, kernel: str | None) -> AttentionCall:
    batch, heads, query_length, key_length, head_dim = _dimensions(call.shapes, call.operator in _LENGTH_FIRST)
    return AttentionCall((row,), (), batch, heads, query_length, key_length, head_dim, kernel, call.precision)


def _is_attention(call: Call) -> bool:
    """Whether it tells the shapes of queries and keys."""
    return len(call.shapes) > 1 and min(len(call.shapes[0]), len(call.shapes[1])) >= 2


def _dimensions(shapes: list[list[int]], length_first: bool) -> tuple[int | None, ...]:
    """Batch, heads, query length, key length, head dimension; packed sequences tell no lengths."""
    if len(shapes) < 2 or len(shapes[0]) < 2 or len(shapes[1]) < 2:
        return (None,) * 5
    query, key = shapes[0], shapes[1]
    if length_first and len(query) != 4:
        return None, query[-2], None, None, query[-1]
    if length_first:
        query, key = ([b, h, n, d] for b, n, h, d in (query, key))
    heads = query[-3] if len(query) > 3 else None
    batch = prod(query[:-3]) if len(query) > 3 else prod(query[:-2])
    return batch, heads, query[-2], key[-2], query[-1]


def _eager_calls(events: Events, context: Context, allowed: Mask) -> Iterator[AttentionCall]:
    allowed = allowed & events.is_operator
    softmaxes = np.flatnonzero(allowed & events.named(SOFTMAX))
    product_rows = np.flatnonzero(allowed & events.named(*_PRODUCTS)) if len(softmaxes) else softmaxes
    free = {row: product for row in product_rows.tolist() if (product := _product(events, row))}
    for softmax, place in zip(softmaxes.tolist(), np.searchsorted(product_rows, softmaxes).tolist(), strict=True):
        shape = next(iter(events.call(softmax).shapes), [])
        if len(shape) < 2:
            continue
        scores = prod(shape[:-2]), shape[-2], shape[-1]
        before = product_rows[max(place - _NEIGHBOURS, 0) : place][::-1].tolist()
        after = product_rows[place : place + _NEIGHBOURS].tolist()
        near_before = [free[row] for row in before if row in free and _together(events, context, row, softmax)]
        near_after = [free[row] for row in after if row in free and _together(events, context, row, softmax)]
        first = next((p for p in near_before if (p.n, p.q, p.k) == scores), None)
        second = next((p for p in near_after if (p.n, p.q, p.inner) == scores), None)
        if first and second:
            del free[first.row], free[second.row]
            yield _eager_call(events, first, second, heads=shape[1] if len(shape) == 4 else None)


def _together(events: Events, context: Context, row: int, other: int) -> bool:
    """On one thread and in the same call of an attention module, or both in none."""
    thread, scope = events.spans.thread, context.scope
    return bool(thread[row] == thread[other] and scope[row] == scope[other])


def _product(events: Events, row: int) -> _Product | None:
    call = events.call(row)
    first = _PRODUCTS[call.operator]
    matrices = call.shapes[first : first + 2]
    if len(matrices) < 2 or any(len(matrix) != 3 for matrix in matrices):
        return None
    (n, q, inner), (_, _, k) = matrices
    return _Product(row, n, q, inner, k)


def _eager_call(events: Events, first: _Product, second: _Product, heads: int | None) -> AttentionCall:
    rows = [first.row, second.row, *_between(events, first, second), *_query_scale(events, first)]
    return AttentionCall(
        rows=tuple(_outermost(events, rows)),
        wrappers=(*_wrappers(events, first.row), *_wrappers(events, second.row)),
        batch=first.n // heads if heads else first.n,
        heads=heads,
        query_length=first.q,
        key_length=first.k,
        head_dim=first.inner,
        kernel=EAGER,
        precision=events.call(first.row).precision,
    )


def _between(events: Events, first: _Product, second: _Product) -> list[int]:
    """Rows between the two products that are the softmax, or work on something of the scores' shape."""
    size = first.n * first.q * first.k

    def is_core(call: Call) -> bool:
        fits = call.operator_class in _BETWEEN or call.operator in _SOFTMAXES
        return fits and any(_has_shape(shape, size, first.k) for shape in call.shapes)

    return [row for row in range(int(events.nesting.stop[first.row]), second.row) if is_core(events.call(row))]


def _query_scale(events: Events, first: _Product) -> list[int]:
    """The operator that scales the query right before QK^T, if there is one; views and copies may come between."""
    size = first.n * first.q * first.inner
    for row in range(first.row - 1, -1, -1):
        call = events.call(row)
        if not events.is_operator[row] or call.operator_class == "data_movement" or call.operator in _PRODUCT_WRAPPERS:
            continue
        fits = call.operator in _SCALES and any(_has_shape(s, size, first.q, first.inner) for s in call.shapes[:1])
        return [row] if fits and events.spans.thread[row] == events.spans.thread[first.row] else []
    return []


def _has_shape(shape: list[int], size: int, *last: int) -> bool:
    """Whether a tensor has this many elements and ends in these dimensions."""
    return tuple(shape[-len(last) :]) == last and prod(shape) == size


def _wrappers(events: Events, row: int) -> list[int]:
    """The operators around a product that only led to it."""
    found = []
    outer = int(events.nesting.parent[row])
    while outer >= 0 and events.names[events.spans.name[outer]] in _PRODUCT_WRAPPERS:
        found.append(outer)
        outer = int(events.nesting.parent[outer])
    return found


def _outermost(events: Events, rows: list[int]) -> list[int]:
    """Of these rows, in order, those inside no other of them."""
    kept: list[int] = []
    for row in sorted(set(rows)):
        if not kept or row >= events.nesting.stop[kept[-1]]:
            kept.append(row)
    return kept
