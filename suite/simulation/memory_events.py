"""Events of memory that can happen again: of one call (`Template`), of a stretch that touched nothing older (`Excerpt`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from suite.simulation.tally import Events


@dataclass(frozen=True)
class Template:
    """The events of one call with ids counted from its own first block; what it freed of others has id -1."""

    events: Events
    num_blocks: int
    outputs: Mapping[int, int]
    """Storage of an output (its address) -> block."""
    kept: tuple[int, ...]
    """Blocks that outlive the call and are no output: caches that the module keeps."""


class Mark(NamedTuple):
    """A moment: how many events and blocks there were."""

    num_events: int
    first_block: int


class Excerpt(NamedTuple):
    """The events of a stretch that touched no block from before it; blocks are counted from its own first."""

    blocks: tuple[int, ...]
    sizes: tuple[int, ...]
    num_blocks: int
    held: Mapping[int, int]
    """Bytes of the blocks that outlive it."""
    held_by: Mapping[int, int]
    """Storage (its address) -> block, of these."""


def in_order(events: Events) -> Events:
    """What is freed between two allocations is freed oldest first, however many times somebody looked meanwhile."""
    is_free = events.sizes < 0
    order = np.lexsort((np.where(is_free, events.ids, -1), np.cumsum(~is_free)))
    return Events(events.ids[order], events.sizes[order])


def affine_template(first: Template, second: Template, position: float) -> Template | None:
    """The template at `position` on the line through two others (0 the first, 1 the second); None where they do not match."""
    if (first.num_blocks, first.kept) != (second.num_blocks, second.kept):
        return None
    if not np.array_equal(first.events.ids, second.events.ids):
        return None
    slope = second.events.sizes - first.events.sizes
    sizes = np.rint(first.events.sizes + slope * position).astype(np.int64)
    return replace(first, events=Events(first.events.ids, sizes))
