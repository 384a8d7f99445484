"""The memory tables of a record from simulated events: the time line in call order, and each stage's peak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa

from suite.attribution.memory import thinned
from suite.record_tables import TABLES
from suite.simulation.caching_allocator import CachingAllocator
from suite.simulation.tally import Ints, Segment

MAX_ALLOCATOR_EVENTS = 400_000
"""With more, only some repetitions of a replayed call go through the allocator in full."""


def memory_tables(found: Sequence[Segment], weights_bytes: int | None) -> tuple[pa.Table, pa.Table]:
    """The tables ``memory`` and ``memory_peaks``.

    Args:
        found: what happened, in order, weights included.
        weights_bytes: that the parts hold; None where they do not hold them all the time.
    """
    lengths = np.array([len(segment.events.sizes) for segment in found])
    owner = np.repeat(np.arange(len(found)), lengths)
    allocated = np.cumsum(np.concatenate([segment.events.sizes for segment in found]))
    reserved = _reserved(found)
    return _time_line(found, owner, allocated, reserved), _peaks(found, owner, allocated, reserved, weights_bytes)


def _reserved(segments: Sequence[Segment]) -> Ints:
    """What a CUDA allocator would have reserved after each event."""
    allocator = CachingAllocator()
    found = []
    for segment, in_full in zip(segments, _in_full(segments), strict=True):
        ids, sizes = segment.events
        chosen = np.ones(len(ids), bool) if in_full else _outliving(ids, sizes)
        levels = np.full(len(ids), allocator.reserved_bytes, np.int64)
        after = np.fromiter(allocator.run(ids[chosen].tolist(), sizes[chosen].tolist()), np.int64, int(chosen.sum()))
        levels[chosen] = after
        found.append(np.maximum.accumulate(levels))  # segments are never given back
    return np.concatenate(found)


def _in_full(segments: Sequence[Segment]) -> Iterator[bool]:
    """Whether each segment's every event matters: of calls that repeat the same rows, every n-th where there are too many."""
    total = sum(len(segment.events.ids) for segment in segments)
    stride = -(-total // MAX_ALLOCATOR_EVENTS)
    times: dict[int, int] = {}
    for segment in segments:
        time = times[id(segment.spell.keys)] = times.get(id(segment.spell.keys), -1) + 1
        yield time < 3 or time % stride == 0


def _outliving(ids: Ints, sizes: Ints) -> np.ndarray:
    """Events of blocks that were there before the segment or stay after it."""
    return ~np.isin(ids, np.intersect1d(ids[sizes > 0], ids[sizes < 0]))


def _time_line(segments: Sequence[Segment], owner: Ints, allocated: Ints, reserved: Ints) -> pa.Table:
    places = {place: index for index, place in enumerate(dict.fromkeys(segment.place for segment in segments))}
    calls = np.cumsum([int(segment.spell.costs[:, 0].sum()) for segment in segments])
    begins = calls - [int(segment.spell.costs[:, 0].sum()) for segment in segments]
    starts = np.searchsorted(owner, np.arange(len(segments)))
    lengths = np.maximum(np.bincount(owner, minlength=len(segments)), 1)
    # Events know no call of their own: they are spread evenly over the calls of their segment.
    share = (np.arange(len(owner)) - starts[owner]) / lengths[owner]
    call = begins[owner] + np.floor(share * (calls - begins)[owner]).astype(np.int64)
    codes = np.array([places[segment.place] for segment in segments])[owner]
    begin = max(int(np.flatnonzero(np.array([bool(s.stages) for s in segments])[owner])[0]) - 1, 0)  # weights are there
    kept = begin + thinned(allocated[begin:], codes[begin:], np.zeros(len(codes) - begin, np.int64))
    names = list(places)
    columns = {
        "call": pa.array(call[kept]),
        "stage": pa.array([names[code][0] for code in codes[kept]], pa.string()),
        "step": pa.array([names[code][1] for code in codes[kept]], pa.int32()),
        "allocated_bytes": pa.array(allocated[kept]),
        "reserved_bytes": pa.array(reserved[kept]),
    }
    return _table("memory", columns, len(kept))


def _peaks(
    segments: Sequence[Segment], owner: Ints, allocated: Ints, reserved: Ints, weights_bytes: int | None
) -> pa.Table:
    """Of each stage, the level at which it began included."""
    starts = np.searchsorted(owner, np.arange(len(segments)))
    ends = np.append(starts[1:], len(owner))
    rows = []
    for stage in dict.fromkeys(chain.from_iterable(segment.stages for segment in segments)):
        ranges = [
            slice(max(start - 1, 0), end)
            for segment, start, end in zip(segments, starts.tolist(), ends.tolist(), strict=True)
            if stage in segment.stages
        ]
        peak = max((int(allocated[span].max(initial=0)) for span in ranges), default=weights_bytes or 0)
        rows.append(
            {
                "stage": stage,
                "weights_bytes": weights_bytes,
                "activations_bytes": None if weights_bytes is None else peak - weights_bytes,
                "allocated_bytes": peak,
                "reserved_bytes": max(int(reserved[span].max(initial=0)) for span in ranges),
            }
        )
    return pa.Table.from_pylist(rows, schema=TABLES["memory_peaks"])


def _table(name: str, columns: dict[str, pa.Array], num_rows: int) -> pa.Table:
    schema = TABLES[name]
    return pa.table(
        [
            columns.get(key, pa.nulls(num_rows, schema.field(key).type)).cast(schema.field(key).type)
            for key in schema.names
        ],
        schema,
    )
