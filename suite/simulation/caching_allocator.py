"""PyTorch's CUDA caching allocator, modelled: what it reserves when tensors come and go.

After c10/cuda/CUDACachingAllocator.cpp with its default settings and one stream: sizes are rounded to 512 B; up to 1 MiB a
tensor comes from segments of 2 MiB, above from segments of 20 MiB or, from 10 MiB on, of its own size rounded to 2 MiB; the
smallest free block that fits is taken and split where enough is left; free neighbours merge; segments are never given back.
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
class _Block:
    address: int
    size: int
    is_small: bool
    before: _Block | None = None
    after: _Block | None = None
    is_free: bool = False


@dataclass
class CachingAllocator:
    """Follows allocations and frees; `allocated_bytes` and `reserved_bytes` are torch.cuda.memory_allocated and _reserved."""

    allocated_bytes: int = 0
    reserved_bytes: int = 0
    _free: dict[bool, list[tuple[int, int, _Block]]] = field(default_factory=lambda: {True: [], False: []})
    _used: dict[int, _Block] = field(default_factory=dict)
    _end: int = 0

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
        block = self._best_fit(size, is_small) or self._new_segment(size, is_small)
        left = block.size - size
        if left >= MIN_BLOCK if is_small else left > SMALL:
            self._split(block, size)
        self._used[name] = block
        self.allocated_bytes += block.size

    def free(self, name: int) -> None:
        """Take back the block of `name` and merge it with free neighbours."""
        block = self._used.pop(name)
        self.allocated_bytes -= block.size
        block.is_free = True
        for other in (block.before, block.after):
            if other is not None and other.is_free:
                self._forget(other)
                block = _merged(block, other)
        insort(self._free[block.is_small], (block.size, block.address, block))

    def _best_fit(self, size: int, is_small: bool) -> _Block | None:
        blocks = self._free[is_small]
        index = bisect_left(blocks, (size, -1))
        if index == len(blocks):
            return None
        block = blocks.pop(index)[2]
        block.is_free = False
        return block

    def _new_segment(self, size: int, is_small: bool) -> _Block:
        length = segment_size(size)
        block = _Block(self._end, length, is_small)
        self._end += length
        self.reserved_bytes += length
        return block

    def _split(self, block: _Block, size: int) -> None:
        rest = _Block(block.address + size, block.size - size, block.is_small, block, block.after, is_free=True)
        if block.after is not None:
            block.after.before = rest
        block.size, block.after = size, rest
        insort(self._free[rest.is_small], (rest.size, rest.address, rest))

    def _forget(self, block: _Block) -> None:
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


def _merged(one: _Block, other: _Block) -> _Block:
    """Two neighbours in the same segment as one free block."""
    first, second = (one, other) if one.address < other.address else (other, one)
    first.size += second.size
    first.after = second.after
    if second.after is not None:
        second.after.before = first
    first.is_free = True
    return first
