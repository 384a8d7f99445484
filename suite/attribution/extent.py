"""Extent: over how much time an attribution goes, and how much of it lies in no span."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from suite.attribution.context import Context
from suite.attribution.device import DeviceWork
from suite.attribution.events import Events
from suite.attribution.nesting import Ints


class Extent(NamedTuple):
    """Nanoseconds. Self times of the host's spans sum to ``span_ns - nowhere_ns + aside_ns``, if there are any.

    With marks the span is that of the generations, on the thread that generates. Without, it is wall time: from the first
    begin to the last end of what is attributed, on the host and on the device.
    """

    span_ns: int
    aside_ns: int
    """Host time spent beside the one thread that it takes to fill the span; several threads can spend more than the span."""
    nowhere_ns: int
    """Time in which no thread of a host without marks was in a span; 0 where the trace knows of no host."""


def find_extent(events: Events, context: Context, work: DeviceWork) -> Extent:
    """Measure what `context.window` and the work on the device cover."""
    self_ns = events.nesting.self_ns
    if len(context.generations):
        own = context.window & ~context.aside
        return Extent(int(self_ns[own].sum()), int(self_ns[context.aside].sum()), 0)
    begins = np.concatenate((events.spans.start_ns[context.window], work.spans.start_ns))
    ends = np.concatenate((events.spans.end_ns[context.window], work.spans.end_ns))
    span_ns = int(ends.max() - begins.min()) if len(begins) else 0
    if not context.window.any():
        return Extent(span_ns, 0, 0)
    outer = context.window & (events.nesting.parent < 0)
    start_ns = events.spans.start_ns[outer]
    covered_ns = _covered(start_ns, start_ns + events.nesting.duration_ns[outer])
    return Extent(span_ns, int(self_ns[context.window].sum()) - covered_ns, span_ns - covered_ns)


def _covered(start_ns: Ints, end_ns: Ints) -> int:
    """Time that lies in at least one of the spans."""
    order = np.argsort(start_ns)
    start_ns, until_ns = start_ns[order], np.maximum.accumulate(end_ns[order])
    gaps_ns = np.maximum(start_ns[1:] - until_ns[:-1], 0)
    return int(until_ns[-1] - start_ns[0] - gaps_ns.sum())
