"""PyTorch's CUDA caching allocator, modelled: what it reserves when tensors come and go, and when it runs out of memory.

After c10/cuda/CUDACachingAllocator.cpp with its default settings and one stream: sizes are rounded to 512 B; up to 1 MiB a
tensor comes from segments of 2 MiB, above from segments of 20 MiB or, from 10 MiB on, of its own size rounded to 2 MiB; the
smallest free block that fits is taken and split where enough is left; free neighbours merge. A segment stays reserved until the
device has no room for another: then all segments that are wholly free are given back and the allocation is tried once more
(release_cached_blocks; release_available_cached_blocks does nothing unless max_split_size_mb is set). With
``expandable_segments:True`` another class does the same by pages (`suite.simulation.expandable_segments`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

MIB = 1 << 20
MIN_BLOCK = 512
SMALL = MIB
"""Up to this size a tensor comes from the pool of small segments."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
MIN_OWN_SEGMENT = 10 * MIB
"""From this size on a segment is as large as the tensor that it is made for."""
SEGMENT_STEP = 2 * MIB


@dataclass(eq=False, slots=True)
class Block:
    """A stretch of a segment: used, free, or (in an expandable segment) without memory behind its addresses."""

    address: int
    size: int
    is_small: bool
    before: Block | None = None
    after: Block | None = None
    is_free: bool = False
    is_mapped: bool = True


@dataclass(frozen=True)
class OutOfMemory:
    """An allocation that failed even when all that was cached had been given back, as torch's message tells it; bytes."""

    tried_bytes: int
    """Of the segment that was asked of the device."""
    allocated_bytes: int
    reserved_bytes: int
    capacity_bytes: int


@dataclass
class CachingAllocator:
    """Follows allocations and frees; `allocated_bytes` and `reserved_bytes` are torch.cuda.memory_allocated and _reserved.

    Where memory runs out the first time, it is noted, and what happens next is what a device would see that had just so much
    more: the ceiling is lifted to what is reserved then. The most that is ever reserved is what a run would need.

    Args:
        capacity_bytes: what the device has for segments; None: no end of it.
    """

    capacity_bytes: int | None = None
    allocated_bytes: int = field(default=0, init=False)
    reserved_bytes: int = field(default=0, init=False)
    num_retries: int = field(default=0, init=False)
    """How often all that was cached was given back, as ``num_alloc_retries`` of torch.cuda.memory_stats."""
    out_of_memory: OutOfMemory | None = field(default=None, init=False)
    _free: dict[bool, list[tuple[int, int, Block]]] = field(default_factory=lambda: {True: [], False: []}, init=False)
    _used: dict[int, Block] = field(default_factory=dict, init=False)
    _end: int = field(default=0, init=False)

    def run(self, ids: Iterable[int], sizes: Iterable[int]) -> Iterable[int]:
        """Reserved bytes after each event; a positive size allocates the block `id`, a negative one frees it."""
        for name, size in zip(ids, sizes, strict=True):
            if size > 0:
                self.allocate(name, size)
            else:
                self.free(name)
            yield self.reserved_bytes

    def allocate(self, name: int, num_bytes: int) -> None:
        """Give `name` a block of at least `num_bytes`."""
        size = rounded(num_bytes)
        is_small = size <= SMALL
        block = self._best_fit(size, is_small) or self._reserve(size, is_small)
        if self._is_worth_splitting(block.size - size, is_small):
            self._split(block, size)
        self._used[name] = block
        self.allocated_bytes += block.size

    def free(self, name: int) -> None:
        """Take back the block of `name` and merge it with free neighbours."""
        block = self._used.pop(name)
        self.allocated_bytes -= block.size
        self._put(block)

    def _reserve(self, size: int, is_small: bool) -> Block:
        """Memory that was not reserved before; where there is no room, all that is cached is given back."""
        block = self._new_block(size, is_small)
        if block is None:
            self.num_retries += self.out_of_memory is None
            self._release_cached()
            block = self._new_block(size, is_small)
        if block is None:
            self._lift_ceiling(size)
            block = self._new_block(size, is_small)
            assert block is not None, "there is no ceiling"
            self.capacity_bytes = self.reserved_bytes
        return block

    def _lift_ceiling(self, size: int) -> None:
        if self.out_of_memory is None:
            assert self.capacity_bytes is not None, "without a ceiling there is room"
            state = self.allocated_bytes, self.reserved_bytes, self.capacity_bytes
            self.out_of_memory = OutOfMemory(segment_size(size), *state)
        self.capacity_bytes = None

    def _has_room(self, num_bytes: int) -> bool:
        return self.capacity_bytes is None or self.reserved_bytes + num_bytes <= self.capacity_bytes

    def _new_block(self, size: int, is_small: bool) -> Block | None:
        """A new segment, as a whole; None where the device has no room for it."""
        length = segment_size(size)
        if not self._has_room(length):
            return None
        block = Block(self._end, length, is_small)
        self._end += length
        self.reserved_bytes += length
        return block

    def _release_cached(self) -> None:
        """Give back all segments that are wholly free."""
        for is_small, blocks in self._free.items():
            kept = [entry for entry in blocks if entry[2].before is not None or entry[2].after is not None]
            self.reserved_bytes -= sum(entry[0] for entry in blocks) - sum(entry[0] for entry in kept)
            self._free[is_small] = kept

    def _best_fit(self, size: int, is_small: bool) -> Block | None:
        blocks = self._free[is_small]
        index = bisect_left(blocks, (size, -1))
        if index == len(blocks):
            return None
        block = blocks.pop(index)[2]
        block.is_free = False
        return block

    def _is_worth_splitting(self, left: int, is_small: bool) -> bool:
        return left >= MIN_BLOCK if is_small else left > SMALL

    def _split(self, block: Block, size: int) -> None:
        """Cut a block; what is behind `size` is free."""
        rest = cut(block, size)
        rest.is_free = True
        self._insert(rest)

    def _put(self, block: Block) -> Block:
        """Make a block free, merged with free neighbours; returns what it became."""
        block.is_free = True
        for other in (block.before, block.after):
            if other is not None and other.is_free:
                self._forget(other)
                block = merged(block, other)
        self._insert(block)
        return block

    def _insert(self, block: Block) -> None:
        """Put a block to those that are free."""
        insort(self._free[block.is_small], (block.size, block.address, block))

    def _forget(self, block: Block) -> None:
        """Take a block out of those that are free."""
        blocks = self._free[block.is_small]
        blocks.pop(bisect_left(blocks, (block.size, block.address)))


def rounded(num_bytes: int) -> int:
    """Bytes that a tensor takes."""
    return max(-(-num_bytes // MIN_BLOCK) * MIN_BLOCK, MIN_BLOCK)


def segment_size(size: int) -> int:
    """Bytes that are reserved for a tensor of `size` bytes that fits nowhere."""
    if size <= SMALL:
        return SMALL_SEGMENT
    if size < MIN_OWN_SEGMENT:
        return LARGE_SEGMENT
    return -(-size // SEGMENT_STEP) * SEGMENT_STEP


def cut(block: Block, size: int) -> Block:
    """Cut a block; returns what is behind `size`, in the same state."""
    rest = Block(
        block.address + size, block.size - size, block.is_small, block, block.after, block.is_free, block.is_mapped
    )
    if block.after is not None:
        block.after.before = rest
    block.size, block.after = size, rest
    return rest


def merged(one: Block, other: Block) -> Block:
    """Two neighbours in the same segment as one block, in the state of both."""
    first, second = (one, other) if one.address < other.address else (other, one)
    first.size += second.size
    first.after = second.after
    if second.after is not None:
        second.after.before = first
    return first
