"""Memory tables from events made by hand: levels, retries, where memory ran out, and calls that are left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from suite.simulation import memory_tables as tables
from suite.simulation.caching_allocator import CachingAllocator, OutOfMemory
from suite.simulation.expandable_segments import ExpandableAllocator
from suite.simulation.memory_tables import memory_tables, with_device_bytes
from suite.simulation.tally import Cost, Events, RowKey, Segment, Spell

MIB = 2**20
ROW = RowKey(None, "aten::mm", "linear", None, None, "float32")


def spell() -> Spell:
    return Spell((ROW,), np.array([[1] + [0] * (len(Cost._fields) - 1)], np.int64), ())


def segment(stages: tuple[str, ...], *events: tuple[int, float], of: Spell | None = None) -> Segment:
    """Events are (block, MiB), the latter below 0 where the block goes."""
    ids, sizes = zip(*events, strict=True)
    found = Events(np.array(ids, np.int64), np.array([int(size * MIB) for size in sizes], np.int64))
    return Segment(stages, None, of or spell(), found)


def peak(found: tables.MemoryTables, stage: str = "generate") -> dict[str, int]:
    return next(row for row in found.memory_peaks.to_pylist() if row["stage"] == stage)


DENOISE, DECODE = ("generate", "denoise_step"), ("generate", "decode")
STORY = (
    segment((), (0, 40)),
    segment(DENOISE, (1, 30), (1, -30)),
    segment(DECODE, (2, 50), (3, 20), (3, -20), (2, -50)),
)
"""Weights of 40 MiB, then 30 while denoising, then 50 and 20 while decoding: 110 MiB at once, 140 of segments."""


def test_without_an_end_of_memory_all_segments_stay() -> None:
    found = memory_tables(STORY, 40 * MIB, CachingAllocator())
    assert [peak(found, stage)["reserved_bytes"] // MIB for stage in ("denoise_step", "decode", "generate")] == [
        70, 120, 120,
    ]  # fmt: skip
    assert peak(found)["allocated_bytes"] == 110 * MIB
    assert peak(found)["num_alloc_retries"] == 0
    assert found.out_of_memory is None


def test_a_full_device_gives_back_what_is_cached_in_the_stage_that_needs_it() -> None:
    found = memory_tables(STORY, 40 * MIB, CachingAllocator(115 * MIB))
    assert [peak(found, stage)["num_alloc_retries"] for stage in ("denoise_step", "decode", "generate")] == [0, 1, 1]
    assert peak(found, "decode")["reserved_bytes"] == 110 * MIB, "40, 50 and 20: the cached 30 went"
    assert found.memory["reserved_bytes"].to_pylist()[-1] == 110 * MIB
    assert found.out_of_memory is None


def test_where_memory_runs_out_the_tables_tell_how_much_is_missing() -> None:
    found = memory_tables(STORY, 40 * MIB, CachingAllocator(100 * MIB))
    assert found.out_of_memory is not None
    assert found.out_of_memory.stage == "decode"
    assert found.out_of_memory.failed == OutOfMemory(20 * MIB, 90 * MIB, 90 * MIB, 100 * MIB)
    assert found.out_of_memory.needed_bytes == 110 * MIB
    assert peak(found)["allocated_bytes"] == 110 * MIB, "as without an end"


def test_weights_alone_can_be_too_much() -> None:
    found = memory_tables(STORY, 40 * MIB, CachingAllocator(30 * MIB))
    assert found.out_of_memory is not None
    assert found.out_of_memory.stage is None
    assert found.out_of_memory.needed_bytes == 110 * MIB


def growing(num_steps: int) -> list[Segment]:
    """Steps that each keep 3 MiB more and use 24 and 2 MiB for a while, as a decoding loop does."""
    step, found = spell(), [segment((), (0, 40))]
    for index in range(num_steps):
        first = 10 * (index + 1)
        found.append(
            segment(DENOISE, (first, 3), (first + 1, 24), (first + 2, 2), (first + 2, -2), (first + 1, -24), of=step)
        )
    return found


@pytest.mark.parametrize("kind", [CachingAllocator, ExpandableAllocator])
@pytest.mark.parametrize("capacity_mib", [130, 150, 170])
def test_calls_that_are_left_out_hide_no_end_of_memory(
    kind: type[CachingAllocator], capacity_mib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 MiB of weights, 26 for a while and 3 more a step fill each of these devices within 40 steps."""
    full = memory_tables(growing(40), 40 * MIB, kind(capacity_mib * MIB))
    monkeypatch.setattr(tables, "MAX_ALLOCATOR_EVENTS", 20)
    thinned = memory_tables(growing(40), 40 * MIB, kind(capacity_mib * MIB))
    assert full.out_of_memory is not None
    assert thinned.out_of_memory is not None
    assert thinned.out_of_memory.stage == full.out_of_memory.stage == "denoise_step"
    assert thinned.out_of_memory.needed_bytes == pytest.approx(full.out_of_memory.needed_bytes, abs=28 * MIB)
    assert peak(thinned)["allocated_bytes"] == peak(full)["allocated_bytes"] == (40 + 40 * 3 + 26) * MIB


@dataclass
class Counting(CachingAllocator):
    num_allocations: int = field(default=0, init=False)

    def allocate(self, name: int, num_bytes: int) -> None:
        self.num_allocations += 1
        super().allocate(name, num_bytes)


@pytest.mark.parametrize("capacity", [None, 84 * MIB])
def test_a_call_that_repeats_itself_is_left_out_on_a_full_device_as_well(
    capacity: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cached serves a call that keeps nothing: its first three and every n-th run are enough."""
    step, story = spell(), [segment((), (0, 40))]
    for name in range(10, 110, 2):
        story.append(segment(DENOISE, (name, 24), (name + 1, 20), (name + 1, -20), (name, -24), of=step))
    monkeypatch.setattr(tables, "MAX_ALLOCATOR_EVENTS", 20)
    allocator = Counting(capacity)
    found = memory_tables(story, 40 * MIB, allocator)
    assert peak(found)["reserved_bytes"] == 84 * MIB
    in_full = {0, 1, 2, *range(0, 50, 11)}  # 201 events are 11 times as many as 20
    assert allocator.num_allocations == 1 + 2 * len(in_full)


def test_a_driver_sees_the_context_besides() -> None:
    found = memory_tables(STORY, 40 * MIB, CachingAllocator())
    told = with_device_bytes(found.memory_peaks, 500 * MIB)
    assert told.schema == found.memory_peaks.schema
    assert {row["stage"]: row["device_bytes"] // MIB for row in told.to_pylist()} == {
        "generate": 620, "denoise_step": 570, "decode": 620,
    }  # fmt: skip
    assert with_device_bytes(found.memory_peaks, None)["device_bytes"].null_count == 3
