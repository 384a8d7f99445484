"""Memory over time and its peaks by stage, from the allocator's events in a trace.

A GPU's allocator tells its totals. A CPU's only tells changes, so what was there before counts as the weights that the caller
names: the level at the start of the generation is `weights_bytes`, or 0 where they are not known. Where a trace has both, the
GPU's memory is the one that is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from suite.attribution.arrow import names_column, numbers_column, table
from suite.attribution.context import Context
from suite.attribution.events import Events
from suite.attribution.nesting import Ints
from suite.attribution.trace import Allocations
from suite.record_tables import TABLES

MAX_POINTS = 5_000
"""About how many points of the time line are kept, at most."""
_CPU = 0


@dataclass(frozen=True, slots=True)
class _Level:
    """Bytes held from each time on. `reserved` is None where the allocator tells none."""

    time_ns: Ints
    allocated: Ints
    reserved: Ints | None
    before: int
    """Bytes held when the window began."""


def memory_tables(
    allocations: Allocations, events: Events, context: Context, weights_bytes: int | None = None
) -> tuple[pa.Table | None, pa.Table | None]:
    """The tables ``memory`` and ``memory_peaks``; None where the trace has no allocator events."""
    if len(allocations) == 0:
        return None, None
    device_type = allocations.device_type.max()
    own = allocations.take(allocations.device_type == device_type)
    # Several devices each have totals of their own; the busiest speaks.
    devices, num_events = np.unique(own.device_id, return_counts=True)
    own = own.take(own.device_id == devices[num_events.argmax()])
    begin, end = _window(own, events, context)
    level = _cpu_level(own, begin, weights_bytes or 0) if device_type == _CPU else _gpu_level(own, begin)
    inside = (level.time_ns >= begin) & (level.time_ns <= end)
    spans = dict(_stage_spans(events, context)) or {"generate": [(begin, end)]}
    return _time_line(level, inside, begin, context), _peaks(level, spans, begin, weights_bytes, device_type == _CPU)


def _window(allocations: Allocations, events: Events, context: Context) -> tuple[int, int]:
    rows = context.generations
    if len(rows) == 0:
        return int(allocations.time_ns[0]), int(allocations.time_ns[-1])
    return int(events.spans.start_ns[rows].min()), int(events.spans.end_ns[rows].max())


def _cpu_level(allocations: Allocations, begin: int, weights_bytes: int) -> _Level:
    running = np.cumsum(allocations.num_bytes)
    earlier = int(np.searchsorted(allocations.time_ns, begin, side="left"))
    held = int(running[earlier - 1]) if earlier else 0
    return _Level(allocations.time_ns, running - held + weights_bytes, None, weights_bytes)


def _gpu_level(allocations: Allocations, begin: int) -> _Level:
    earlier = int(np.searchsorted(allocations.time_ns, begin, side="left"))
    allocated = allocations.total_allocated
    before = allocated[earlier - 1] if earlier else allocated[0] - allocations.num_bytes[0]
    return _Level(allocations.time_ns, allocated, allocations.total_reserved, int(before))


def _stage_spans(events: Events, context: Context) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    rows = context.stage_marks
    own_stage = context.stage[rows]
    for number in dict.fromkeys(own_stage.tolist()):
        chosen = rows[own_stage == number]
        starts, ends = events.spans.start_ns[chosen].tolist(), events.spans.end_ns[chosen].tolist()
        yield context.stages[number], list(zip(starts, ends, strict=True))


def _time_line(level: _Level, inside: np.ndarray, begin: int, context: Context) -> pa.Table:
    """The level over time, starting with what was there, thinned out so that no stage and no step loses its peak."""
    points = np.flatnonzero(inside)
    stage, step = context.moments.at(level.time_ns[points])
    kept = points[thinned(level.allocated[points], stage, step)]
    times = np.concatenate(([begin], level.time_ns[kept]))
    stage, step = context.moments.at(times)
    reserved = level.reserved
    columns = {
        "t_s": numbers_column((times - begin) / 1e9),
        "stage": names_column(stage, context.stages),
        "step": numbers_column(step, step < 0),
        "allocated_bytes": numbers_column(np.concatenate(([level.before], level.allocated[kept]))),
    }
    if reserved is not None:
        columns["reserved_bytes"] = numbers_column(np.concatenate(([0], reserved[kept])), np.arange(len(times)) == 0)
    return table(TABLES["memory"], columns, len(times))


def thinned(values: Ints, stage: Ints, step: Ints) -> Ints:
    """Places to keep: of every stretch of equal length within a stage and step the largest and the last value.

    The stretches are so many that not much more than `MAX_POINTS` places are left.
    """
    if len(values) <= MAX_POINTS:
        return np.arange(len(values))
    stretch = np.arange(len(values)) * (MAX_POINTS // 2) // len(values)
    changes = np.flatnonzero(np.diff(stretch) | np.diff(stage) | np.diff(step)) + 1
    starts = np.concatenate(([0], changes))
    group = np.repeat(np.arange(len(starts)), np.diff([*starts, len(values)]))
    # Sorted by value within a group, the last one of a group is its largest.
    by_value = np.lexsort((values, group))
    largest = by_value[np.append(changes, len(values)) - 1]
    last = np.append(changes, len(values)) - 1
    return np.union1d(largest, last)


def _peaks(
    level: _Level, spans: dict[str, list[tuple[int, int]]], begin: int, weights_bytes: int | None, is_cpu: bool
) -> pa.Table:
    allocated = [max(_peak(level, level.allocated, *span, level.before) for span in spans[stage]) for stage in spans]
    activations = [peak - level.before for peak in allocated]
    reserved = level.reserved
    columns: dict[str, list[Any]] = {
        "stage": list(spans),
        "weights_bytes": [weights_bytes] * len(spans),
        "activations_bytes": activations,
    }
    if not is_cpu or weights_bytes is not None:
        columns["allocated_bytes"] = allocated
    reserved = level.reserved
    if reserved is not None:
        before = int(reserved[0])
        columns["reserved_bytes"] = [max(_peak(level, reserved, *s, before) for s in spans[stage]) for stage in spans]
    return table(TABLES["memory_peaks"], columns, len(spans))


def _peak(level: _Level, values: Ints, start: int, end: int, before: int) -> int:
    """Largest value in a span, the one at its start included."""
    first, stop = np.searchsorted(level.time_ns, start, side="left"), np.searchsorted(level.time_ns, end, side="right")
    at_start = int(values[first - 1]) if first else before
    return max(at_start, int(values[first:stop].max(initial=at_start)))
