"""Live tensor bytes of a simulated generation: which storages exist after every operator, by stage and in call order.

A storage is alive as long as somebody holds it; a weak reference tells, as `torch.multiprocessing.reductions` has it, without
a finalizer that would lengthen lives. Allocations and frees are kept as events, so that a call that is replayed repeats its
events and an allocator can be run over all of them (`suite.simulation.caching_allocator`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef

from suite.simulation.memory_events import Excerpt, Mark, Template, in_order
from suite.simulation.tally import Events, Ints


class _Held(NamedTuple):
    reference: StorageWeakRef
    blocks: tuple[int, ...]


@dataclass
class LiveMemory:
    """Notes allocations and frees while operators run."""

    _held: dict[int, _Held] = field(default_factory=dict)
    _weights: dict[int, _Held] = field(default_factory=dict)
    """Held from the start. There are many and they rarely go: they are looked at between calls and when some are exchanged."""
    _ids: list[int] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _bytes: dict[int, int] = field(default_factory=dict)
    _num_blocks: int = 0

    def note(self, inputs: Iterable[torch.Tensor], outputs: Iterable[torch.Tensor], scratch_bytes: int = 0) -> None:
        """An operator ran: what it returned is new unless it is part of what it was given.

        Args:
            scratch_bytes: of temporaries inside the operator, gone when it returns; see `suite.simulation.scratch`.
        """
        aliased = {tensor.untyped_storage()._cdata for tensor in inputs}
        fresh = {
            storage._cdata: storage
            for storage in (tensor.untyped_storage() for tensor in outputs)
            if storage._cdata not in aliased and not self._knows(storage._cdata)
        }
        self.born(fresh.values(), scratch_bytes)

    def born(self, storages: Collection[torch.UntypedStorage], scratch_bytes: int = 0) -> None:
        """An operator allocated these, and needed temporaries meanwhile."""
        storages = [storage for storage in storages if storage.nbytes()]
        if not storages and not scratch_bytes:
            return
        self.sweep()
        for storage in storages:
            self._held[storage._cdata] = _Held(StorageWeakRef(storage), (self._allocate(storage.nbytes()),))
        if scratch_bytes:
            self._free(self._allocate(scratch_bytes))

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors that are there already, such as weights."""
        self.note((), tensors)
        self._weights.update(self._held)
        self._held.clear()

    def know(self, tensors: Iterable[torch.Tensor]) -> None:
        """These are there, and not on the device: they are counted when they are brought."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._weights[storage._cdata] = _Held(StorageWeakRef(storage), ())

    def bring(self, sizes: Iterable[int]) -> tuple[int, ...]:
        """Allocate so much for tensors that come to the device; returns the blocks, to be dropped when they go."""
        self.sweep()
        return tuple(self._allocate(size) for size in sizes if size)

    def drop(self, blocks: Iterable[int]) -> None:
        """Free what was brought."""
        self.sweep()
        for block in blocks:
            self._free(block)

    def keep(self, num_bytes: int) -> None:
        """Allocate this much for good."""
        if num_bytes:
            self._allocate(num_bytes)

    def sweep(self) -> None:
        """Free what nobody holds any more."""
        self._sweep(self._held)

    def sweep_weights(self) -> None:
        """Free weights that nobody holds any more."""
        self.sweep()
        self._sweep(self._weights)

    def _sweep(self, among: dict[int, _Held]) -> None:
        is_gone = torch.UntypedStorage._expired  # type: ignore[attr-defined]  # what StorageWeakRef.expired comes to, sooner
        for key in [key for key, held in among.items() if is_gone(held.reference.cdata)]:
            for block in among.pop(key).blocks:
                self._free(block)

    def _knows(self, storage: int) -> bool:
        return storage in self._held or storage in self._weights

    def cut(self) -> Events:
        """The events since the last cut."""
        self.sweep_weights()
        events = in_order(Events(np.array(self._ids, np.int64), np.array(self._sizes, np.int64)))
        self._ids, self._sizes = [], []
        return events

    @property
    def next_block(self) -> int:
        """The id that the next allocation gets."""
        return self._num_blocks

    def still_held(self, blocks: Sequence[int]) -> list[int]:
        """Those of `blocks` that have not been freed."""
        return [block for block in blocks if block in self._bytes]

    def template(self, events: Events, first_block: int, outputs: Sequence[torch.Tensor]) -> Template:
        """What a call that began at `first_block` and has just ended does each time. To be asked before its outputs go."""
        own = events.ids >= first_block
        ids = np.where(own, events.ids - first_block, -1)
        given = {
            key: self._held[key].blocks[0] - first_block
            for key in (tensor.untyped_storage()._cdata for tensor in outputs)
            if key in self._held and self._held[key].blocks[0] >= first_block
        }
        freed = set(ids[(events.sizes < 0) & own].tolist())
        num_blocks = self._num_blocks - first_block
        kept = tuple(sorted(set(range(num_blocks)) - freed - set(given.values())))
        return Template(Events(ids, events.sizes), num_blocks, given, kept)

    def replay(self, template: Template, state: Sequence[int], holder: torch.Tensor | None) -> tuple[Events, Ints]:
        """Repeat a call's events.

        Args:
            template: of the call.
            state: blocks that calls like this one have kept so far. This one frees them, where the template frees foreign
                blocks if it frees as many, else at its end.
            holder: lives as long as what this call keeps; without one, that lives as long as the state did.

        Returns:
            its events, and the ids of the template's blocks.
        """
        blocks = self._num_blocks + np.arange(template.num_blocks)
        self._num_blocks += template.num_blocks
        foreign = template.events.ids < 0
        # A block -1 is taken from the end of `blocks`, and replaced or left out below.
        ids, sizes = np.append(blocks, -1)[template.events.ids], template.events.sizes.copy()
        references = self._release(state)
        gone = np.array(state, np.int64), np.array([-self._bytes.pop(block) for block in state], np.int64)
        if foreign.sum() == len(state):
            ids[foreign], sizes[foreign] = gone
        else:
            ids, sizes = np.append(ids[~foreign], gone[0]), np.append(sizes[~foreign], gone[1])
        self._bytes.update(zip(ids[sizes > 0].tolist(), sizes[sizes > 0].tolist(), strict=True))
        for block in ids[(sizes < 0) & (ids >= blocks[:1].sum())].tolist():
            self._bytes.pop(block, None)
        references = [StorageWeakRef(holder.untyped_storage())] if holder is not None else references
        kept = blocks[list(template.kept)].tolist()
        if references and kept:
            self._held[references[0].cdata] = _Held(references[0], tuple(kept))
        elif kept:  # the module dropped what it kept: nothing holds it this time
            ids = np.append(ids, kept)
            sizes = np.append(sizes, [-self._bytes.pop(block) for block in kept])
        return Events(ids, sizes), blocks

    def mark(self) -> Mark:
        """This moment, for `since`."""
        self.sweep()
        return Mark(len(self._ids), self._num_blocks)

    def since(self, mark: Mark) -> Excerpt | None:
        """What happened since; None where something was freed that was there before."""
        self.sweep()
        first = mark.first_block
        blocks = tuple(block - first for block in self._ids[mark.num_events :])
        if blocks and min(blocks) < 0:
            return None
        held_by = {key: one.blocks[0] - first for key, one in self._held.items() if one.blocks[0] >= first}
        held = {block - first: self._bytes[block] for block in range(first, self._num_blocks) if block in self._bytes}
        return Excerpt(blocks, tuple(self._sizes[mark.num_events :]), self._num_blocks - first, held, held_by)

    def repeat(self, excerpt: Excerpt) -> int:
        """Let the same happen again; returns the first of its blocks."""
        self.sweep()
        first = self._num_blocks
        self._num_blocks += excerpt.num_blocks
        self._ids += [first + block for block in excerpt.blocks]
        self._sizes += excerpt.sizes
        self._bytes.update({first + block: size for block, size in excerpt.held.items()})
        return first

    def hold_block(self, storage: torch.UntypedStorage, block: int) -> None:
        """The block lives as long as the storage."""
        self._held[storage._cdata] = _Held(StorageWeakRef(storage), (block,))

    def hand_over(self, fake: torch.Tensor, real: torch.Tensor, block: int | None = None) -> None:
        """`real` stands from now on for `fake`, or for the `block` of a replayed call that returned one like it."""
        held = self._held.pop(fake.untyped_storage()._cdata, None) if block is None else None
        blocks = (block,) if block is not None else held.blocks if held is not None else ()
        if blocks:
            storage = real.untyped_storage()
            self._held[storage._cdata] = _Held(StorageWeakRef(storage), blocks)

    def _release(self, blocks: Sequence[int]) -> list[StorageWeakRef]:
        """Hold these blocks no longer; returns the references that did."""
        wanted = set(blocks)
        keys = [key for key, held in self._held.items() if wanted.intersection(held.blocks)]
        return [self._held.pop(key).reference for key in keys]

    def _allocate(self, size: int) -> int:
        block = self._num_blocks
        self._num_blocks += 1
        self._ids.append(block)
        self._sizes.append(size)
        self._bytes[block] = size
        return block

    def _free(self, block: int) -> None:
        self._ids.append(block)
        self._sizes.append(-self._bytes.pop(block))
