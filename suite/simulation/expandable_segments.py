"""The CUDA caching allocator with ``expandable_segments:True``, modelled: one segment a pool, with memory page by page.

After c10/cuda/CUDACachingAllocator.cpp (Note [Expandable Segments]): addresses are reserved for all that might ever be
needed, and pages (2 MiB for small tensors, 20 MiB for large ones) are mapped behind them, at the lowest address where an
allocation fits. Blocks are split down to 512 B in both pools. Where the device has no room, every page that is wholly free is
unmapped, and the allocation is tried once more. torch has addresses for 9/8 of the device's memory and begins another segment
behind them; here there is no end of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from suite.simulation.caching_allocator import (
    LARGE_SEGMENT,
    MIN_BLOCK,
    SMALL_SEGMENT,
    Block,
    CachingAllocator,
    cut,
    merged,
)

PAGE = {True: SMALL_SEGMENT, False: LARGE_SEGMENT}
"""Bytes that are mapped at once, by whether tensors are small."""
ADDRESSES = 1 << 60
"""Bytes that a pool has addresses for: no end of them, and whole pages of both sizes."""


def _addresses() -> dict[bool, list[tuple[int, Block]]]:
    length = ADDRESSES - ADDRESSES % LARGE_SEGMENT
    return {is_small: [(0, Block(0, length, is_small, is_mapped=False))] for is_small in (True, False)}


@dataclass
class ExpandableAllocator(CachingAllocator):
    """`CachingAllocator` whose pools grow and shrink by pages."""

    _unmapped: dict[bool, list[tuple[int, Block]]] = field(default_factory=_addresses, init=False)
    """Blocks without memory behind them, by address."""

    def _best_fit(self, size: int, is_small: bool) -> Block | None:
        """The smallest free block that fits; one that could grow counts as large as it could."""
        blocks = self._free[is_small]
        index = bisect_left(blocks, (size, -1))
        if index == len(blocks):
            return None
        while index + 1 < len(blocks) and _room_to_grow(blocks[index + 1][2]) < _room_to_grow(blocks[index][2]):
            index += 1
        block = blocks.pop(index)[2]
        block.is_free = False
        return block

    def _is_worth_splitting(self, left: int, is_small: bool) -> bool:
        return left >= MIN_BLOCK

    def _new_block(self, size: int, is_small: bool) -> Block | None:
        """Pages at the lowest address where `size` bytes fit, free ones before and between them included.

        None where the device has no room for all of them; those that were mapped until then stay, free.
        """
        block = self._lowest(size, is_small)
        while block.size < size or not block.is_mapped:
            growing = block if not block.is_mapped else block.after
            assert growing is not None, "there were addresses enough"
            missing = size if growing is block else size - block.size
            grown = self._map(growing, min(missing, growing.size))
            if grown is None:
                return None
            block = grown
        self._forget(block)
        block.is_free = False
        return block

    def _lowest(self, size: int, is_small: bool) -> Block:
        """The first block, free or unmapped, from which on `size` bytes are not used."""
        for _, unmapped in self._unmapped[is_small]:
            first = unmapped.before if unmapped.before is not None and unmapped.before.is_free else unmapped
            found, block = 0, first
            while found < size and block is not None and (block.is_free or not block.is_mapped):
                found += block.size
                block = block.after
            if found >= size:
                return first
        raise AssertionError("there is no end of addresses")

    def _map(self, block: Block, size: int) -> Block | None:
        """Put memory behind the first `size` bytes of an unmapped block; the free block that they are part of then."""
        page = PAGE[block.is_small]
        length = -(-size // page) * page
        if not self._has_room(length):
            return None
        self._unmapped[block.is_small].remove((block.address, block))
        if length < block.size:
            self._keep_unmapped(cut(block, length))
        block.is_mapped = True
        self.reserved_bytes += length
        return self._put(block)

    def _release_cached(self) -> None:
        """Unmap all pages that are wholly free."""
        for blocks in [list(blocks) for blocks in self._free.values()]:
            for _, _, block in blocks:
                self._unmap(block)

    def _unmap(self, block: Block) -> None:
        page = PAGE[block.is_small]
        begin, end = -(-block.address // page) * page, (block.address + block.size) // page * page
        if begin >= end:
            return
        self._forget(block)
        if begin > block.address:
            front, block = block, cut(block, begin - block.address)
            self._insert(front)
        if end < block.address + block.size:
            self._insert(cut(block, end - block.address))
        block.is_free = block.is_mapped = False
        self.reserved_bytes -= block.size
        for other in (block.before, block.after):
            if other is not None and not other.is_mapped:
                self._unmapped[other.is_small].remove((other.address, other))
                block = merged(block, other)
        self._keep_unmapped(block)

    def _keep_unmapped(self, block: Block) -> None:
        insort(self._unmapped[block.is_small], (block.address, block))


def _room_to_grow(block: Block) -> int:
    """Bytes of a free block and of the unmapped one behind it."""
    after = block.after
    return block.size + (after.size if after is not None and not after.is_mapped else 0)
