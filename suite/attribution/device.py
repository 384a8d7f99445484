"""Work on the device, joined to what launched it on the host."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from suite.attribution.context import Context
from suite.attribution.events import Events
from suite.attribution.nesting import Ints, Mask
from suite.attribution.taxonomy import OPERATOR_CLASSES, kernel_class
from suite.attribution.trace import KERNEL, LAUNCH, Spans, Trace


@dataclass(frozen=True, slots=True)
class DeviceWork:
    """Kernels, copies and fills of the window; one row each."""

    spans: Spans
    duration_ns: Ints
    origin: Ints
    """Row of the host event that launched it, or -1."""
    owner: Ints
    """Row of the operator that its time goes to. -1: to the kernel itself."""
    num_ambiguous: int
    """Of those whose id names several launches; the first of these counts."""
    kernel_class: Ints
    """Class that a kernel's own name tells; points into `OPERATOR_CLASSES`."""

    def of(self, category: int) -> Mask:
        return self.spans.category == category


def device_work(trace: Trace, events: Events, context: Context) -> DeviceWork:
    """Find who launched what: by correlation id, else by the id that an operator and its kernels share.

    The time goes to the innermost operator around the launch, if it has a class of its own. It stays with the kernel where
    no operator is known, where a graph was launched that holds many operators' kernels, and where the operator tells
    nothing while the kernel does (a compiled region).
    """
    spans = trace.device
    by_correlation, twice = _match(spans.correlation, events.spans.correlation, events.spans.category == LAUNCH)
    by_external_id, or_twice = _match(spans.external_id, events.spans.external_id, events.is_operator)
    origin = np.where(by_correlation >= 0, by_correlation, by_external_id)
    ambiguous = np.where(by_correlation >= 0, twice, or_twice)
    launched = origin >= 0
    inside = (
        np.where(launched, context.window[origin], _meanwhile(events, context, spans)) if len(events) else ~launched
    )
    spans, origin = spans.take(inside), origin[inside]
    owner = np.where(origin >= 0, events.owner[origin], -1) if len(events) else origin
    classes = kernel_classes(events, spans)
    speaks = ~_of_graphs(events, origin) & (_has_class(events, owner) | (classes == OPERATOR_CLASSES.index("other")))
    return DeviceWork(
        spans=spans,
        duration_ns=spans.end_ns - spans.start_ns,
        origin=origin,
        owner=np.where(speaks | (spans.category != KERNEL), owner, -1),
        num_ambiguous=int(ambiguous[inside].sum()),
        kernel_class=classes,
    )


def _match(wanted: Ints, ids: Ints, candidates: Mask) -> tuple[Ints, Mask]:
    """For every wanted id the first row among the candidates that has it, and whether another has it, too.

    -1 where none has. Ids start at 1.
    """
    rows = np.flatnonzero(candidates & (ids > 0))
    if len(rows) == 0:
        return np.full(len(wanted), -1), np.zeros(len(wanted), bool)
    rows = rows[np.argsort(ids[rows], kind="stable")]
    place = np.minimum(np.searchsorted(ids[rows], wanted), len(rows) - 1)
    found, following = rows[place], rows[np.minimum(place + 1, len(rows) - 1)]
    known = ids[found] == wanted
    return np.where(known, found, -1), known & (following != found) & (ids[following] == wanted)


def _meanwhile(events: Events, context: Context, spans: Spans) -> Mask:
    """Device work without a known launch belongs to the window if it starts during a generation, or there are no marks."""
    if len(context.generations) == 0:
        return np.ones(len(spans), bool)
    begin = events.spans.start_ns[context.generations][:, None]
    end = events.spans.end_ns[context.generations][:, None]
    return np.logical_or.reduce((spans.start_ns >= begin) & (spans.start_ns < end), axis=0)


def _of_graphs(events: Events, origin: Ints) -> Mask:
    if len(events) == 0:
        return origin >= 0
    launches_graph = np.array(["GraphLaunch" in name for name in events.names], bool)
    return np.logical_and(origin >= 0, launches_graph[events.spans.name[origin]])


def _has_class(events: Events, owner: Ints) -> Mask:
    classified = np.array([call.operator_class != "other" for call in events.calls], bool)
    return (owner >= 0) & classified[events.spans.signature[owner]] if len(events) else owner >= 0


def kernel_classes(events: Events, spans: Spans) -> Ints:
    """The class that the name of each device span tells."""
    classes = np.zeros(max(len(events.names), 1), np.int64)
    for number in np.unique(spans.name).tolist():
        classes[number] = OPERATOR_CLASSES.index(kernel_class(events.names[number]))
    return classes[spans.name]
