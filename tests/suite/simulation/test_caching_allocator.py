"""The model of the CUDA caching allocator: against a naive one that looks at every byte range, and a case worked by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from suite.simulation.caching_allocator import CachingAllocator, rounded, segment_size

MIB = 2**20


class Naive:
    """Segments as lists of [size, owner] pieces; the best fit by looking at all of them."""

    def __init__(self) -> None:
        self.segments: list[tuple[bool, list[list]]] = []

    @property
    def reserved(self) -> int:
        return sum(piece[0] for _, pieces in self.segments for piece in pieces)

    @property
    def allocated(self) -> int:
        return sum(piece[0] for _, pieces in self.segments for piece in pieces if piece[1] is not None)

    def allocate(self, name: int, num_bytes: int) -> None:
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
            index = 0
            self.segments.append((small, pieces))
        left = pieces[index][0] - size
        if (small and left >= 512) or (not small and left > MIB):
            pieces[index : index + 1] = [[size, name], [left, None]]
        else:
            pieces[index][1] = name

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


@given(steps=st.lists(st.tuples(st.booleans(), SIZES, st.integers(0, 100)), max_size=60))
def test_it_reserves_what_a_naive_allocator_reserves(steps: list[tuple[bool, int, int]]) -> None:
    ours, naive, live, before = CachingAllocator(), Naive(), [], 0
    for name, (frees, size, which) in enumerate(steps):
        if frees and live:
            gone = live.pop(which % len(live))
            ours.free(gone)
            naive.free(gone)
        else:
            ours.allocate(name, size)
            naive.allocate(name, size)
            live.append(name)
        assert (ours.reserved_bytes, ours.allocated_bytes) == (naive.reserved, naive.allocated)
        assert ours.reserved_bytes >= max(before, ours.allocated_bytes)
        before = ours.reserved_bytes
    for name in live:
        ours.free(name)
    assert ours.allocated_bytes == 0
    assert ours.reserved_bytes == before


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
