"""The model of expandable segments: against a naive one that keeps pages and used ranges, and cases worked by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from suite.simulation.caching_allocator import CachingAllocator
from suite.simulation.expandable_segments import ExpandableAllocator

MIB = 2**20
NO_END = 2**70


class NaivePool:
    """Which pages are mapped and which ranges are used; everything else is asked of these two."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.mapped: set[int] = set()
        self.used: dict[int, tuple[int, int]] = {}

    def runs(self) -> Iterator[tuple[bool, int, int]]:
        """Longest stretches (mapped, begin, end) of what nobody uses, by address, up to no end."""
        inner = {edge for page in self.mapped for edge in (page * self.page, (page + 1) * self.page)}
        edges = sorted({0, NO_END} | inner | {edge for span in self.used.values() for edge in span})
        taken = set(self.used.values())
        run: tuple[bool, int, int] | None = None
        for begin, end in pairwise(edges):
            if any(start <= begin < stop for start, stop in taken):
                if run:
                    yield run
                run = None
                continue
            is_mapped = begin // self.page in self.mapped
            if run and run[0] == is_mapped:
                run = (is_mapped, run[1], end)
            else:
                if run:
                    yield run
                run = (is_mapped, begin, end)
        if run:
            yield run

    def allocate(self, name: int, size: int, room: float) -> bool:
        runs = list(self.runs())
        growth = {run: after for run, after in pairwise(runs) if run[2] == after[1]}

        def could_be(run: tuple[bool, int, int]) -> int:
            after = growth.get(run)
            return run[2] - run[1] + (after[2] - after[1] if after else 0)

        fitting = sorted((end - begin, begin, (mapped, begin, end)) for mapped, begin, end in runs if mapped)
        fitting = [entry for entry in fitting if entry[0] >= size]
        if fitting:
            chosen = 0
            while chosen + 1 < len(fitting) and could_be(fitting[chosen + 1][2]) < could_be(fitting[chosen][2]):
                chosen += 1
            begin = fitting[chosen][1]
        else:
            begin = self._lowest(runs, size)
            pages = set(range(begin // self.page, -(-(begin + size) // self.page))) - self.mapped
            if len(pages) * self.page > room:
                return False
            self.mapped |= pages
        self.used[name] = (begin, begin + size)
        return True

    def _lowest(self, runs: list[tuple[bool, int, int]], size: int) -> int:
        for index, (mapped, begin, _) in enumerate(runs):
            if mapped:
                continue
            first = runs[index - 1][1] if index and runs[index - 1][2] == begin else begin
            last = begin
            for _, start, end in runs[index:]:
                if start != last:
                    break
                last = end
            if last - first >= size:
                return first
        raise AssertionError

    def release(self) -> None:
        in_use = {p for begin, end in self.used.values() for p in range(begin // self.page, -(-end // self.page))}
        self.mapped &= in_use


class Naive:
    def __init__(self, capacity: float) -> None:
        self.pools = {True: NaivePool(2 * MIB), False: NaivePool(20 * MIB)}
        self.capacity = capacity
        self.retries = 0

    @property
    def reserved(self) -> int:
        return sum(pool.page * len(pool.mapped) for pool in self.pools.values())

    def allocate(self, name: int, num_bytes: int) -> bool:
        size = max(512, (num_bytes + 511) // 512 * 512)
        pool = self.pools[size <= MIB]
        if pool.allocate(name, size, self.capacity - self.reserved):
            return True
        self.retries += 1
        for one in self.pools.values():
            one.release()
        return pool.allocate(name, size, self.capacity - self.reserved)

    def free(self, name: int) -> None:
        for pool in self.pools.values():
            pool.used.pop(name, None)


SIZES = st.one_of(st.integers(1, 4096), st.integers(1, 3 * MIB), st.integers(1, 50 * MIB))
STEPS = st.lists(st.tuples(st.booleans(), SIZES, st.integers(0, 100)), max_size=50)


@given(steps=STEPS, capacity=st.sampled_from([None, 40 * MIB, 64 * MIB, 130 * MIB]))
def test_it_maps_what_a_naive_allocator_maps(steps: list[tuple[bool, int, int]], capacity: int | None) -> None:
    ours, naive, live = ExpandableAllocator(capacity), Naive(capacity or float("inf")), []
    for name, (frees, size, which) in enumerate(steps):
        if frees and live:
            gone = live.pop(which % len(live))
            ours.free(gone)
            naive.free(gone)
        else:
            ours.allocate(name, size)
            if not naive.allocate(name, size):
                assert ours.out_of_memory is not None
                return
            live.append(name)
        assert ours.out_of_memory is None
        assert (ours.reserved_bytes, ours.num_retries) == (naive.reserved, naive.retries)


def test_one_segment_grows_where_others_would_not_fit() -> None:
    """30, 40 and 50 MiB, each freed before the next: segments of their own add up, one that grows does not."""
    plain, expandable = CachingAllocator(), ExpandableAllocator()
    for allocator in (plain, expandable):
        for name, size in enumerate((30 * MIB, 40 * MIB, 50 * MIB)):
            allocator.allocate(name, size)
            allocator.free(name)
    assert plain.reserved_bytes == 120 * MIB
    assert expandable.reserved_bytes == 60 * MIB, "three pages of 20 MiB"


def test_pages_that_nobody_uses_are_unmapped_when_there_is_no_room() -> None:
    """100 MiB of room, of which 50 and 30 MiB take four pages; freeing the 50 leaves two whole ones to give back."""
    allocator = ExpandableAllocator(100 * MIB)
    allocator.allocate(0, 50 * MIB)  # [0, 50): pages 0, 1, 2
    allocator.allocate(1, 30 * MIB)  # [50, 80): page 3 besides
    assert allocator.reserved_bytes == 80 * MIB
    allocator.free(0)
    allocator.allocate(
        2, 60 * MIB
    )  # 60 contiguous are neither free nor to be had with 20: pages 0 and 1 go, 4 to 6 come
    assert (allocator.reserved_bytes, allocator.num_retries, allocator.out_of_memory) == (100 * MIB, 1, None)


def test_small_tensors_have_pages_of_their_own() -> None:
    allocator = ExpandableAllocator()
    allocator.allocate(0, 512)
    assert allocator.reserved_bytes == 2 * MIB
    allocator.allocate(1, MIB + 1)
    assert allocator.reserved_bytes == 22 * MIB
    allocator.allocate(2, MIB)
    allocator.allocate(3, MIB)
    assert allocator.reserved_bytes == 24 * MIB, "512 B, 1 MiB and 1 MiB: the third crosses into a second page"
