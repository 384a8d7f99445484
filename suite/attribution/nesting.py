"""Nesting: which span lies inside which, for spans that open and close like brackets on every thread.

A span contains another that starts in ``[start, end)`` and ends no later than it does. Of spans that start together the
longer one is outside; of identical ones the first. A span of no length contains only spans identical to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Nesting:
    """Spans in preorder: sorted so that a span is followed by everything inside it."""

    order: Ints
    """Row of the input at each place of the preorder. All the columns below are in preorder."""
    parent: Ints
    """Place of the innermost span around; -1 at the outside."""
    depth: Ints
    stop: Ints
    """Place after the last span inside this one, so that ``place + 1 .. stop`` is what it contains."""
    duration_ns: Ints
    """Where a span ends after the one around it, its length up to that end."""
    self_ns: Ints
    """Duration without that of the spans directly inside."""
    levels: list[Ints]
    """Places by depth."""
    num_cut: int
    """Spans that ended after the one around them."""

    def inherit(self, values: npt.NDArray[_T], own: Mask) -> npt.NDArray[_T]:
        """The values of places that have their `own`, passed on to everything inside that has none.

        Places outside of all keep what `values` has there.
        """
        result = values.copy()
        for level in self.levels[1:] if own.any() else ():
            heirs = level[~own[level]]
            result[heirs] = result[self.parent[heirs]]
        return result

    def outermost(self, chosen: Mask) -> Mask:
        """Of the chosen places, those that lie inside no other chosen place."""
        return chosen & ~self.inside(chosen)

    def inside(self, chosen: Mask) -> Mask:
        """Places that lie inside a chosen place, themselves not counted."""
        covered = self.inherit(chosen, chosen)
        return (self.parent >= 0) & covered[self.parent]

    def around(self, chosen: Mask) -> Mask:
        """Places that contain a chosen place, themselves not counted."""
        before = np.concatenate(([0], np.cumsum(chosen)))
        return before[self.stop] > before[np.arange(len(chosen)) + 1]


def nest(start_ns: Ints, end_ns: Ints, thread: Ints) -> Nesting:
    """Find the nesting of spans, each within its thread.

    Spans that overlap without containing each other, which a profiler writes now and then when a clock slips, are cut
    at the end of the one that started first.
    """
    tree = _tree(start_ns, end_ns, thread)
    ends_ns = end_ns
    around = tree.end_key[tree.parent]
    crossing = (tree.parent >= 0) & (tree.start_key < around) & (tree.end_key > around)
    if crossing.any():
        ends_ns = end_ns.copy()
        ends_ns[tree.order[crossing]] = end_ns[tree.order[tree.parent[crossing]]]
        crossed, tree = tree, _tree(start_ns, ends_ns, thread)
        # Who is around whom was not known for sure: a span may still cross, or may have been cut short of the one around it.
        ends, unlimited = ends_ns[tree.order], end_ns[tree.order]
        if (ends != np.where(tree.parent >= 0, np.minimum(unlimited, ends[tree.parent]), unlimited)).any():
            ends_ns = _cut_one_by_one(crossed.order, start_ns, end_ns, thread)
            tree = _tree(start_ns, ends_ns, thread)
    duration = (ends_ns - start_ns)[tree.order]
    inner = tree.parent >= 0
    covered = np.bincount(tree.parent[inner], weights=duration[inner], minlength=len(duration))
    return Nesting(
        order=tree.order,
        parent=tree.parent,
        depth=tree.depth,
        stop=np.searchsorted(tree.start_key, tree.end_key, side="left"),
        duration_ns=duration,
        self_ns=duration - covered.astype(np.int64),
        levels=tree.levels,
        num_cut=int((ends_ns < end_ns).sum()),
    )


def _cut_one_by_one(order: Ints, start_ns: Ints, end_ns: Ints, thread: Ints) -> Ints:
    """Ends of all spans, none later than that of the span around, found with a stack."""
    ends = end_ns.tolist()
    open_ends: list[int] = []
    open_thread = None
    for row, owner, start in zip(order.tolist(), thread[order].tolist(), start_ns[order].tolist(), strict=True):
        if owner != open_thread:
            open_ends, open_thread = [], owner
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        if open_ends:
            ends[row] = min(ends[row], open_ends[-1])
        open_ends.append(ends[row])
    return np.array(ends, np.int64)


class _Tree(NamedTuple):
    """Spans in preorder, and who contains whom as far as counting tells: for sure, if they close like brackets."""

    order: Ints
    start_key: Ints
    end_key: Ints
    depth: Ints
    levels: list[Ints]
    parent: Ints


def _tree(start_ns: Ints, end_ns: Ints, thread: Ints) -> _Tree:
    order, start_key, end_key = _preorder(start_ns, end_ns, thread)
    depth = _depth(start_key, end_key)
    levels = _levels(depth)
    return _Tree(order, start_key, end_key, depth, levels, _parents(levels))


def _preorder(start_ns: Ints, end_ns: Ints, thread: Ints) -> tuple[Ints, Ints, Ints]:
    """Order, and keys that put the threads one after the other on one line.

    Keys count half nanoseconds, and a span of no length gets one: then every span has a length and nothing ends where it
    starts.
    """
    if len(start_ns) == 0:
        return start_ns, start_ns, start_ns
    _, rank = np.unique(thread, return_inverse=True)
    if (int(end_ns.max()) - int(start_ns.min()) + 1) * (int(rank.max()) + 1) >= 2**62:
        # So far apart that one line is too short: only which time is later counts.
        times = np.unique(np.concatenate((start_ns, end_ns)))
        start_ns, end_ns = np.searchsorted(times, start_ns), np.searchsorted(times, end_ns)
    origin = start_ns.min()
    offset = rank.reshape(-1) * (2 * (end_ns.max() - origin) + 2)
    start_key = offset + 2 * (start_ns - origin)
    end_key = np.maximum(offset + 2 * (end_ns - origin), start_key + 1)
    order = np.lexsort((-end_key, start_key))
    return order, start_key[order], end_key[order]


def _depth(start_key: Ints, end_key: Ints) -> Ints:
    """How many spans are open when each one starts: all those before it but those that have ended by then."""
    return np.arange(len(start_key)) - np.searchsorted(np.sort(end_key), start_key, side="right")


def _levels(depth: Ints) -> list[Ints]:
    by_depth = np.argsort(depth, kind="stable")
    return np.split(by_depth, np.cumsum(np.bincount(depth))[:-1]) if len(depth) else []


def _parents(levels: list[Ints]) -> Ints:
    """The parent of a span is the last one before it that is one level further out."""
    parent = np.full(sum(len(level) for level in levels), -1)
    for outer, inner in pairwise(levels):
        parent[inner] = outer[np.searchsorted(outer, inner) - 1]
    return parent
