"""The memory tables of a record from simulated events: the time line in call order, and each stage's peak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from suite.attribution.memory import thinned
from suite.record_tables import TABLES
from suite.simulation.caching_allocator import CachingAllocator, OutOfMemory
from suite.simulation.tally import Ints, Segment

MAX_ALLOCATOR_EVENTS = 400_000
"""With more, some repetitions of a replayed call go through the allocator in full, and those that could fill the device."""


class MemoryTables(NamedTuple):
    """The tables ``memory`` and ``memory_peaks``, and where memory first ran out, if it did."""

    memory: pa.Table
    memory_peaks: pa.Table
    out_of_memory: ShortOfMemory | None


@dataclass(frozen=True)
class ShortOfMemory:
    """Where a device ran out of memory, and how much more it would have needed."""

    stage: str | None
    """The innermost that was open; None: while weights were put there."""
    failed: OutOfMemory
    needed_bytes: int
    """The most that is reserved where the device has just what is missing."""


def memory_tables(found: Sequence[Segment], weights_bytes: int | None, allocator: CachingAllocator) -> MemoryTables:
    """What a generation's memory was.

    Args:
        found: what happened, in order, weights included.
        weights_bytes: that the parts hold; None where they do not hold them all the time.
        allocator: of the device, new. Where its memory runs out the tables go on as on a device with as much more.
    """
    lengths = np.array([len(segment.events.sizes) for segment in found])
    owner = np.repeat(np.arange(len(found)), lengths)
    allocated = np.cumsum(np.concatenate([segment.events.sizes for segment in found]))
    run = _reserved(found, allocator)
    peaks = _peaks(found, owner, allocated, run, weights_bytes)
    short = None
    if allocator.out_of_memory is not None and run.short_at is not None:
        stage = found[run.short_at].place[0]
        short = ShortOfMemory(stage, allocator.out_of_memory, int(run.reserved.max(initial=0)))
    return MemoryTables(_time_line(found, owner, allocated, run.reserved), peaks, short)


def with_device_bytes(table: pa.Table, context_bytes: int | None) -> pa.Table:
    """One of these tables with ``device_bytes`` filled, what a driver would say that the process holds: reserved bytes and
    the context's. Unchanged where a context's size is not known."""
    if context_bytes is None:
        return table
    index = table.schema.get_field_index("device_bytes")
    return table.set_column(
        index, table.schema.field(index), pa.array(table["reserved_bytes"].to_numpy() + context_bytes)
    )


class _Run(NamedTuple):
    """What an allocator did."""

    reserved: Ints
    """Bytes after each event."""
    retries: Ints
    """In each segment."""
    short_at: int | None
    """Segment in which memory first ran out."""


def _reserved(segments: Sequence[Segment], allocator: CachingAllocator) -> _Run:
    """What the allocator has reserved after each event."""
    levels, retries, short_at = [], [], None
    settled: dict[int, tuple[int, int]] = {}
    for index, (segment, sampled) in enumerate(zip(segments, _in_full(segments), strict=True)):
        ids, sizes = segment.events
        key, state = id(segment.spell.keys), (allocator.allocated_bytes, allocator.reserved_bytes)
        before, tried = allocator.reserved_bytes, allocator.num_retries
        # Near the end of memory a call is left out only where the last one like it changed nothing, from the same state.
        in_full = sampled or (_is_tight(allocator, sizes) and settled.get(key) != state)
        chosen = np.ones(len(ids), bool) if in_full else _outliving(ids, sizes)
        after = np.fromiter(allocator.run(ids[chosen].tolist(), sizes[chosen].tolist()), np.int64, int(chosen.sum()))
        # An event that is left out changes nothing: the level is that of the last one that was not.
        levels.append(np.append(before, after)[np.cumsum(chosen)])
        if in_full:
            settled[key] = state if (after == before).all() else (-1, -1)
        retries.append(allocator.num_retries - tried)
        if short_at is None and allocator.out_of_memory is not None:
            short_at = index
    return _Run(np.concatenate(levels), np.array(retries, np.int64), short_at)


def _is_tight(allocator: CachingAllocator, sizes: Ints) -> bool:
    """Whether these events could bring the device to the end of its memory."""
    if allocator.capacity_bytes is None or allocator.out_of_memory is not None:
        return False
    return allocator.reserved_bytes + int(np.cumsum(sizes).max(initial=0)) > allocator.capacity_bytes


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


def _peaks(segments: Sequence[Segment], owner: Ints, allocated: Ints, run: _Run, weights_bytes: int | None) -> pa.Table:
    """Of each stage, the level at which it began included."""
    starts = np.searchsorted(owner, np.arange(len(segments)))
    ends = np.append(starts[1:], len(owner))
    rows = []
    for stage in dict.fromkeys(chain.from_iterable(segment.stages for segment in segments)):
        inside = np.array([stage in segment.stages for segment in segments])
        ranges = [
            slice(max(start - 1, 0), end)
            for start, end in zip(starts[inside].tolist(), ends[inside].tolist(), strict=True)
        ]
        peak = max((int(allocated[span].max(initial=0)) for span in ranges), default=weights_bytes or 0)
        rows.append(
            {
                "stage": stage,
                "weights_bytes": weights_bytes,
                "activations_bytes": None if weights_bytes is None else peak - weights_bytes,
                "allocated_bytes": peak,
                "reserved_bytes": max(int(run.reserved[span].max(initial=0)) for span in ranges),
                "num_alloc_retries": int(run.retries[inside].sum()),
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
