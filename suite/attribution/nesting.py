"""Nesting: which span lies inside which, for spans that open and close like brackets on every thread.

A span contains another that starts in ``[start, end)`` and ends no later than it does. Of spans that start together the
longer one is outside; of identical ones the first. A span of no length contains only spans identical to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

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
    order, start_key, end_key = _preorder(start_ns, end_ns, thread)
    depth, levels, parent = _tree(start_key, end_key)
    crossing = (parent >= 0) & (start_key < end_key[parent]) & (end_key > end_key[parent])
    num_cut = 0
    if crossing.any():
        whole_ns, end_ns = end_ns, end_ns.copy()
        end_ns[order] = _cut(np.flatnonzero(crossing), parent, start_ns[order], end_ns[order], thread[order])
        num_cut = int((end_ns < whole_ns).sum())
        order, start_key, end_key = _preorder(start_ns, end_ns, thread)
        depth, levels, parent = _tree(start_key, end_key)
    starts, ends = start_ns[order], end_ns[order]
    duration = ends - starts
    inner = parent >= 0
    covered = np.bincount(parent[inner], weights=duration[inner], minlength=len(order))
    return Nesting(
        order=order,
        parent=parent,
        depth=depth,
        stop=np.searchsorted(start_key, end_key, side="left"),
        duration_ns=duration,
        self_ns=duration - covered.astype(np.int64),
        levels=levels,
        num_cut=num_cut,
    )


def _cut(crossing: Ints, parent: Ints, start_ns: Ints, end_ns: Ints, thread: Ints) -> Ints:
    """Ends, in preorder, of which none is later than that of the span around.

    From a place that crosses its parent on, who contains whom is found with a stack, until all that began there has ended.
    Up to there, and from there on, `parent` is right.
    """
    ends = end_ns.copy()
    done = 0
    for place in crossing.tolist():
        if place < done:
            continue
        open_ends = _ends_around(place, parent, ends)
        latest, done = int(end_ns[place]), place
        while done < len(ends) and thread[done] == thread[place] and (done == place or start_ns[done] < latest):
            start, end = int(start_ns[done]), int(end_ns[done])
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            ends[done] = min(end, open_ends[-1]) if open_ends else end
            open_ends.append(int(ends[done]))
            latest = max(latest, end)
            done += 1
    return ends


def _ends_around(place: int, parent: Ints, ends: Ints) -> list[int]:
    """Ends of the spans around a place, the innermost last."""
    found: list[int] = []
    while (place := int(parent[place])) >= 0:
        found.append(int(ends[place]))
    return found[::-1]


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


def _tree(start_key: Ints, end_key: Ints) -> tuple[Ints, list[Ints], Ints]:
    """Depth of every place, places by depth, and the parent of every place."""
    depth = _depth(start_key, end_key)
    levels = _levels(depth)
    return depth, levels, _parents(levels)


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
