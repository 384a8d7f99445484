"""Events: the host side of a trace in preorder, with what every row was called with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suite.attribution.calls import Call, parse_call
from suite.attribution.marks import PREFIX
from suite.attribution.nesting import Ints, Mask, Nesting, nest
from suite.attribution.trace import OPERATOR, Spans, Trace


@dataclass(frozen=True, slots=True)
class Events:
    """Host spans, so sorted that a span is followed by everything inside it; all columns have one row a span."""

    names: list[str]
    calls: list[Call]
    """What `spans.signature` points into. The last one, which -1 points to, is a call of nothing."""
    spans: Spans
    nesting: Nesting
    is_operator: Mask
    """Operators of torch; our own marks are recorded like operators, and are none."""
    owner: Ints
    """The innermost operator at or around a row; -1 where there is none."""

    def __len__(self) -> int:
        return len(self.spans)

    def named(self, *names: str) -> Mask:
        """Rows with one of these names."""
        chosen = np.array([name in names for name in self.names], bool)
        return chosen[self.spans.name] if len(chosen) else np.zeros(len(self), bool)

    def call(self, row: int) -> Call:
        return self.calls[self.spans.signature[row]]


def arrange(trace: Trace) -> Events:
    """Put the host side of a trace in preorder."""
    nesting = nest(trace.host.start_ns, trace.host.end_ns, trace.host.thread)
    spans = trace.host.take(nesting.order)
    is_mark = np.array([name.startswith(PREFIX) for name in trace.names] or [False], bool)
    is_operator = (spans.category == OPERATOR) & ~is_mark[spans.name]
    rows = np.where(is_operator, np.arange(len(spans)), -1)
    return Events(
        names=trace.names,
        calls=[*map(parse_call, trace.signatures), Call("", [], [], [])],
        spans=spans,
        nesting=nesting,
        is_operator=is_operator,
        owner=nesting.inherit(rows, is_operator),
    )
