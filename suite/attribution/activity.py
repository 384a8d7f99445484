"""How well the host feeds the device: where it was busy, where it waited, and where the host waited for it.

device spans by start  --pause before each-->  busy, long gaps     by the stage and step of what launched them
launches while the device is idle  --correlation-->  launch latency
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from suite.attribution.arrow import names_column, numbers_column, table
from suite.attribution.context import Context
from suite.attribution.device import DeviceWork
from suite.attribution.events import Events
from suite.attribution.nesting import Ints, Mask
from suite.attribution.trace import KERNEL, LAUNCH
from suite.record_tables import TABLES

LONG_GAP_NS = 100_000
"""A pause of the device is a long gap from this length on."""


def device_activity(events: Events, context: Context, work: DeviceWork) -> pa.Table | None:
    """The table ``device_activity``, one row a stage and step in order of time; None where the device did nothing.

    A pause belongs to the work that ends it, but for the first work of a stage and step: what lies before that is between
    stages. Streams count together: the device is busy while any of them is.
    """
    if len(work.spans) == 0:
        return None
    order = np.lexsort((work.spans.end_ns, work.spans.start_ns))
    start, end, origin = work.spans.start_ns[order], work.spans.end_ns[order], work.origin[order]
    stage, step = (column[order] for column in _places(context, work))
    first, group = _groups(stage, step)
    busy_until = np.concatenate((start[:1], np.maximum.accumulate(end)[:-1]))
    pause = np.maximum(start - busy_until, 0)
    pause[first] = 0
    is_long = pause >= LONG_GAP_NS

    def total(values: npt.NDArray[np.generic]) -> Ints:
        return np.bincount(group, values, len(first)).astype(np.int64)

    def seconds(times_ns: Ints) -> pa.Array:
        return numbers_column(times_ns / 1e9)

    last_end = np.zeros(len(first), np.int64)
    np.maximum.at(last_end, group, end)
    latency_ns = _launch_latencies(events, start, origin, busy_until, group, len(first))
    waits = _waits(events, context)
    waits_of = [waits & (context.stage == stage[row]) & (context.step == step[row]) for row in first]
    wait_ns = events.spans.end_ns - events.spans.start_ns
    columns = {
        "stage": names_column(stage[first], context.stages),
        "step": numbers_column(step[first], step[first] < 0),
        "num_kernels": numbers_column(total(work.of(KERNEL)[order])),
        "span_s": seconds(last_end - start[first]),
        "busy_s": seconds(total(np.maximum(end - np.maximum(start, busy_until), 0))),
        "num_long_gaps": numbers_column(total(is_long)),
        "long_gaps_s": seconds(total(np.where(is_long, pause, 0))),
        "launch_latency_s": numbers_column(latency_ns / 1e9, np.isnan(latency_ns)),
        "num_synchronizations": [int(rows.sum()) for rows in waits_of],
        "synchronization_s": [int(wait_ns[rows].sum()) / 1e9 for rows in waits_of],
    }
    return table(TABLES["device_activity"], columns, len(first))


def _places(context: Context, work: DeviceWork) -> tuple[Ints, Ints]:
    """Stage and step of what launched each piece of work; those of the moment where no launch is known."""
    stage, step = context.moments.at(work.spans.start_ns)
    if len(context.stage) == 0:
        return stage, step
    launched = work.origin >= 0
    return (
        np.where(launched, context.stage[work.origin], stage),
        np.where(launched, context.step[work.origin], step),
    )


def _groups(stage: Ints, step: Ints) -> tuple[Ints, Ints]:
    """First row of each stage and step in order of appearance, and the number of every row's group."""
    key = (stage + 1) * (step.max(initial=-1) + 2) + step + 1
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return np.sort(first), rank[group]


def _launch_latencies(
    events: Events, start: Ints, origin: Ints, busy_until: Ints, group: Ints, num_groups: int
) -> npt.NDArray[np.float64]:
    """Of each group the median from the begin of the launching call to that of the work.

    Only of calls that began when the device had nothing left to do; in a queue, work waits for other work.
    """
    found = np.full(num_groups, np.nan)
    if len(events) == 0:
        return found
    called = events.spans.start_ns[origin]
    waited_for = (origin >= 0) & (events.spans.category[origin] == LAUNCH) & (called >= busy_until)
    waited_for[0] = origin[0] >= 0 and events.spans.category[origin[0]] == LAUNCH
    for number in np.unique(group[waited_for]):
        found[number] = np.median((start - called)[waited_for & (group == number)])
    return found


def _waits(events: Events, context: Context) -> Mask:
    """Calls in which the host waits for the device; a blocking copy contains one."""
    waits = np.array(["Synchronize" in name for name in events.names] or [False], bool)
    return (events.spans.category == LAUNCH) & waits[events.spans.name] & context.window
