"""Nesting against a stack, which is how a reader would do it by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.attribution.nesting import Nesting, nest

Span = tuple[int, int, int]


def nested(spans: list[Span]) -> Nesting:
    columns = np.array(spans, np.int64).reshape(-1, 3)
    return nest(columns[:, 0], columns[:, 1], columns[:, 2])


def parents_by_stack(spans: list[Span]) -> tuple[list[int], list[int]]:
    """Row order and each row's parent row, for spans that close like brackets."""
    order = sorted(range(len(spans)), key=lambda row: (spans[row][2], spans[row][0], -spans[row][1], row))
    parents, stack = [-1] * len(spans), []
    for row in order:
        start, end, thread = spans[row]
        while stack:
            outer_start, outer_end, outer_thread = spans[stack[-1]]
            identical = (outer_start, outer_end) == (start, end)
            if outer_thread == thread and (outer_end > start or identical):
                break
            stack.pop()
        parents[row] = stack[-1] if stack else -1
        stack.append(row)
    return order, parents


@st.composite
def forests(draw: st.DrawFn) -> list[Span]:
    """Brackets on up to three threads, with touching, identical and zero-length spans."""
    spans: list[Span] = []

    def grow(start: int, end: int, thread: int, depth: int) -> None:
        edges = sorted(draw(st.lists(st.integers(start, end), max_size=6)))
        for left, right in zip(edges[::2], edges[1::2], strict=False):
            spans.append((left, right, thread))
            if depth:
                grow(left, right, thread, depth - 1)

    for thread in range(draw(st.integers(1, 3))):
        grow(0, draw(st.integers(0, 60)), thread * 5, 3)
    return draw(st.permutations(spans))


@settings(max_examples=300, deadline=None)
@given(forests())
def test_brackets_nest_as_a_stack_says(spans: list[Span]) -> None:
    order, parents = parents_by_stack(spans)
    found = nested(spans)
    assert found.order.tolist() == order
    assert [int(found.order[p]) if p >= 0 else -1 for p in found.parent] == [parents[row] for row in order]
    for place, row in enumerate(order):
        inside = [child for child in range(len(spans)) if parents[child] == row]
        own = spans[row][1] - spans[row][0] - sum(spans[child][1] - spans[child][0] for child in inside)
        assert found.self_ns[place] == own
        ancestors = place
        for _ in range(int(found.depth[place])):
            ancestors = int(found.parent[ancestors])
        assert found.parent[ancestors] == -1


@settings(max_examples=200, deadline=None)
@given(forests(), st.data())
def test_inside_around_outermost_and_inherit(spans: list[Span], data: st.DataObject) -> None:
    _, parents = parents_by_stack(spans)
    found = nested(spans)
    chosen_rows = set(data.draw(st.lists(st.sampled_from(range(len(spans))), unique=True))) if spans else set()
    chosen = np.isin(found.order, sorted(chosen_rows))

    def ancestors(row: int) -> list[int]:
        return [] if parents[row] < 0 else [parents[row], *ancestors(parents[row])]

    order = found.order.tolist()
    inside = [any(outer in chosen_rows for outer in ancestors(row)) for row in order]
    around = [any(row in ancestors(inner) for inner in chosen_rows) for row in order]
    nearest = [next((outer for outer in [row, *ancestors(row)] if outer in chosen_rows), -1) for row in order]
    assert found.inside(chosen).tolist() == inside
    assert found.around(chosen).tolist() == around
    assert found.outermost(chosen).tolist() == [c and not i for c, i in zip(chosen, inside, strict=True)]
    assert found.inherit(np.where(chosen, found.order, -1), chosen).tolist() == nearest


def test_a_cut_span_keeps_what_is_inside_it() -> None:
    found = nested([(0, 10, 0), (5, 15, 0), (6, 12, 0), (12, 13, 0)])
    assert found.parent.tolist() == [-1, 0, 1, -1]
    assert found.self_ns.tolist() == [5, 1, 4, 1]


def lengths_by_stack(spans: list[Span]) -> list[int]:
    """Length of every span, cut where the one around it ends, span by span in order of time."""
    lengths, stack = [0] * len(spans), []
    for row in sorted(range(len(spans)), key=lambda row: (spans[row][2], spans[row][0], -spans[row][1], row)):
        start, end, thread = spans[row]
        while stack and (stack[-1][1] != thread or stack[-1][0] <= start):
            stack.pop()
        end = min(end, stack[-1][0]) if stack else end
        lengths[row] = end - start
        stack.append((end, thread))
    return lengths


def assert_cut_as_a_stack_does(spans: list[Span]) -> None:
    found, expected = nested(spans), lengths_by_stack(spans)
    assert found.duration_ns.tolist() == [expected[row] for row in found.order]
    assert found.num_cut == sum(length < end - start for length, (start, end, _) in zip(expected, spans, strict=True))
    assert (found.self_ns >= 0).all()
    assert found.self_ns.sum() == found.duration_ns[found.parent < 0].sum()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 1)), max_size=14))
def test_overlaps_are_cut_as_a_stack_does(spans: list[Span]) -> None:
    assert_cut_as_a_stack_does([(start, start + length, thread) for start, length, thread in spans])


@pytest.mark.parametrize(("num", "reach"), [(5, 2), (300, 3), (300, 299), (2000, 40)])
def test_a_stair_is_cut_as_a_stack_does(num: int, reach: int) -> None:
    """Each step starts in the one before and ends after it."""
    assert_cut_as_a_stack_does(
        [(10 * step, 10 * (step + reach) + 5, 0) for step in range(num)] + [(3, 5, 1), (9, 12, 1)]
    )


def test_brackets_are_not_cut() -> None:
    assert nested([(0, 10, 0), (5, 10, 0), (5, 10, 0), (10, 10, 0), (10, 15, 0), (9, 11, 1)]).num_cut == 0


def test_threads_ages_apart_nest_as_near_ones_do() -> None:
    """Laid one after the other they are longer than 64 bits."""
    far = 2**62
    spans = [
        (-(10**18), far, 0),
        (5, 5, 0),
        (7, far - 1, 0),
        (7, 9, 0),
        *((far - 4, far + 4, number) for number in range(1, 9)),
    ]
    found = nested(spans)
    assert found.parent.tolist() == [-1, 0, 0, 2, *[-1] * 8]
    assert found.self_ns.tolist()[2:] == [far - 1 - 7 - 2, 2, *[8] * 8]
    assert found.num_cut == 0
