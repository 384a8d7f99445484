"""The model of the CUDA caching allocator: against a naive one that looks at every byte range, and a case worked by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from suite.simulation.caching_allocator import CachingAllocator, OutOfMemory, rounded, segment_size

MIB = 2**20


class Naive:
    """Segments as lists of [size, owner] pieces; the best fit by looking at all of them."""

    def __init__(self, capacity: float) -> None:
        self.segments: list[tuple[bool, list[list]]] = []
        self.capacity = capacity
        self.retries = 0

    @property
    def reserved(self) -> int:
        return sum(piece[0] for _, pieces in self.segments for piece in pieces)

    @property
    def allocated(self) -> int:
        return sum(piece[0] for _, pieces in self.segments for piece in pieces if piece[1] is not None)

    def allocate(self, name: int, num_bytes: int) -> bool:
        """Whether there was room."""
        size = max(512, (num_bytes + 511) // 512 * 512)
        small = size <= MIB
        fitting = [
            (piece[0], order, pieces, index)
            for order, (is_small, pieces) in enumerate(self.segments)
            if is_small == small
            for index, piece in enumerate(pieces)
            if piece[1] is None and piece[0] >= size
        ]
        if fitting:
            _, _, pieces, index = min(fitting, key=lambda found: found[:2])
        else:
            own = (size + 2 * MIB - 1) // (2 * MIB) * 2 * MIB
            pieces = [[2 * MIB if small else 20 * MIB if size < 10 * MIB else own, None]]
            if self.reserved + pieces[0][0] > self.capacity:
                self.retries += 1
                self.segments = [s for s in self.segments if any(owner is not None for _, owner in s[1])]
            if self.reserved + pieces[0][0] > self.capacity:
                return False
            index = 0
            self.segments.append((small, pieces))
        left = pieces[index][0] - size
        if (small and left >= 512) or (not small and left > MIB):
            pieces[index : index + 1] = [[size, name], [left, None]]
        else:
            pieces[index][1] = name
        return True

    def free(self, name: int) -> None:
        for _, pieces in self.segments:
            for piece in pieces:
                if piece[1] == name:
                    piece[1] = None
            merged: list[list] = []
            for piece in pieces:
                if merged and merged[-1][1] is None and piece[1] is None:
                    merged[-1][0] += piece[0]
                else:
                    merged.append(piece)
            pieces[:] = merged


SIZES = st.one_of(st.integers(1, 4096), st.integers(1, 3 * MIB), st.integers(1, 40 * MIB))


STEPS = st.lists(st.tuples(st.booleans(), SIZES, st.integers(0, 100)), max_size=60)


@given(steps=STEPS, capacity=st.sampled_from([None, 22 * MIB, 48 * MIB, 120 * MIB]))
def test_it_reserves_what_a_naive_allocator_reserves(steps: list[tuple[bool, int, int]], capacity: int | None) -> None:
    ours, naive, live = CachingAllocator(capacity), Naive(capacity or float("inf")), []
    for name, (frees, size, which) in enumerate(steps):
        if frees and live:
            gone = live.pop(which % len(live))
            ours.free(gone)
            naive.free(gone)
        else:
            before = ours.allocated_bytes
            ours.allocate(name, size)
            if not naive.allocate(name, size):
                assert ours.out_of_memory is not None
                assert ours.out_of_memory.reserved_bytes == naive.reserved
                assert ours.out_of_memory.allocated_bytes == naive.allocated == before
                return
            live.append(name)
        assert (ours.reserved_bytes, ours.allocated_bytes) == (naive.reserved, naive.allocated)
        assert (ours.num_retries, ours.out_of_memory) == (naive.retries, None)
    for name in live:
        ours.free(name)
    assert ours.allocated_bytes == 0


@given(steps=STEPS)
def test_without_a_ceiling_nothing_is_given_back(steps: list[tuple[bool, int, int]]) -> None:
    allocator, live, before = CachingAllocator(), [], 0
    for name, (frees, size, which) in enumerate(steps):
        if frees and live:
            allocator.free(live.pop(which % len(live)))
        else:
            allocator.allocate(name, size)
            live.append(name)
        assert allocator.reserved_bytes >= max(before, allocator.allocated_bytes)
        before = allocator.reserved_bytes
    assert allocator.num_retries == 0


def test_a_full_device_gets_back_what_is_wholly_free() -> None:
    """100 MiB: 60 used and 30 cached. 40 more fit once the 30 are given back; 10 then do not, and nothing is cached."""
    allocator = CachingAllocator(100 * MIB)
    allocator.allocate(0, 60 * MIB)
    allocator.allocate(1, 30 * MIB)
    allocator.free(1)
    assert allocator.reserved_bytes == 90 * MIB
    allocator.allocate(2, 40 * MIB)
    assert (allocator.reserved_bytes, allocator.num_retries, allocator.out_of_memory) == (100 * MIB, 1, None)
    allocator.allocate(3, 10 * MIB)
    assert allocator.out_of_memory == OutOfMemory(10 * MIB, 100 * MIB, 100 * MIB, 100 * MIB)
    assert allocator.reserved_bytes == 110 * MIB, "what it would need"


def test_a_segment_that_is_partly_used_stays() -> None:
    """A tensor of 2 MiB holds the 20 MiB of its segment, so that 90 of 100 MiB are out of reach."""
    allocator = CachingAllocator(100 * MIB)
    for name in range(10):
        allocator.allocate(name, 2 * MIB)
    for name in range(1, 10):
        allocator.free(name)
    assert (allocator.reserved_bytes, allocator.allocated_bytes) == (20 * MIB, 2 * MIB)
    allocator.allocate(10, 90 * MIB)
    assert allocator.out_of_memory == OutOfMemory(90 * MIB, 2 * MIB, 20 * MIB, 100 * MIB)


def test_fragments_that_are_too_small_cost_a_new_segment() -> None:
    """Four tensors of 5 MiB fill a segment of 20. Without the second and the fourth 10 MiB are free, but not in one piece."""
    allocator = CachingAllocator()
    for name in range(4):
        allocator.allocate(name, 5 * MIB)
    assert allocator.reserved_bytes == 20 * MIB
    allocator.free(1)
    allocator.free(3)
    allocator.allocate(4, 6 * MIB)
    assert allocator.reserved_bytes == 40 * MIB
    allocator.free(0)  # joins the hole that the second left
    allocator.allocate(5, 10 * MIB)
    assert allocator.reserved_bytes == 40 * MIB


def test_sizes_are_those_of_the_allocators_source() -> None:
    assert [rounded(size) for size in (1, 512, 513)] == [512, 512, 1024]
    assert [segment_size(size) for size in (512, MIB, MIB + 512, 10 * MIB, 11 * MIB)] == [
        2 * MIB, 2 * MIB, 20 * MIB, 10 * MIB, 12 * MIB,
    ]  # fmt: skip
