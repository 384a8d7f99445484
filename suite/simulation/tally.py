"""What operators and attention calls cost: counted while they run, frozen as arrays when they are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Place = tuple[str | None, int | None]
"""Innermost stage, and step."""


class RowKey(NamedTuple):
    """What rows of the operator table are grouped by, apart from stage and step."""

    module: str | None
    operator: str
    operator_class: str
    attention_kind: str | None
    attention_part: str | None
    precision: str | None


class Cost(NamedTuple):
    """Of one operator call. `num_unknown` is 1 where it computes and no formula counts it; see `suite.record_tables`."""

    calls: int
    flops: int
    vector_flops: int
    num_unknown: int
    bytes_read: int
    bytes_written: int
    tile_flops: int = 0
    copied_bytes: int = 0


class AttentionCall(NamedTuple):
    """One call of scaled_dot_product_attention; lengths in tokens."""

    module: str | None
    attention_kind: str | None
    batch: int
    heads: int
    query_length: int
    key_length: int
    head_dim: int
    kernel: str
    precision: str


@dataclass
class Tally:
    """Counts while things run: the sums of `Cost` by row, and attention calls in order."""

    rows: dict[RowKey, list[int]] = field(default_factory=dict)
    attention: list[AttentionCall] = field(default_factory=list)
    _repeated: dict[int, list[Any]] = field(default_factory=dict)
    """What was counted as a whole, and how often, by identity."""

    def add(self, key: RowKey, cost: Cost) -> None:
        sums = self.rows.setdefault(key, [0] * len(cost))
        for index, value in enumerate(cost):
            sums[index] += value

    def repeat(self, spell: Spell) -> None:
        """Count all of it."""
        self.attention += spell.attention
        if (counted := self._repeated.get(id(spell))) is not None:
            counted[1] += 1
            return
        self._repeated[id(spell)] = [spell, 1]
        for key in spell.keys:  # rows come in the order in which they first ran
            self.rows.setdefault(key, [0] * len(Cost._fields))

    def freeze(self) -> Spell:
        costs = np.array(list(self.rows.values()), np.int64).reshape(len(self.rows), len(Cost._fields))
        places = {key: place for place, key in enumerate(self.rows)}
        for spell, times in self._repeated.values():
            costs[[places[key] for key in spell.keys]] += times * spell.costs
        return Spell(tuple(self.rows), costs, tuple(self.attention))


@dataclass(frozen=True)
class Spell:
    """All that ran in one stretch of time: costs ``[rows, fields of Cost]`` and attention calls in order."""

    keys: tuple[RowKey, ...]
    costs: Ints
    attention: tuple[AttentionCall, ...]


class Events(NamedTuple):
    """Allocations (positive sizes) and frees (negative) of one stretch, in order. ``ids`` tell blocks apart."""

    ids: Ints
    sizes: Ints


class Segment(NamedTuple):
    """A stretch of time in which the stages that are open stay the same."""

    stages: tuple[str, ...]
    """Open stages, outermost first."""
    step: int | None
    spell: Spell
    events: Events

    @property
    def place(self) -> Place:
        return (self.stages[-1] if self.stages else None, self.step)


def affine(first: Spell, second: Spell, position: float) -> Spell | None:
    """The spell at `position` on the line through two others (0 is the first, 1 the second); None where they do not match."""
    if first.keys != second.keys or [_shape(call) for call in first.attention] != [
        _shape(call) for call in second.attention
    ]:
        return None
    costs = np.rint(first.costs + (second.costs - first.costs) * position).astype(np.int64)
    calls = tuple(
        low._replace(key_length=round(low.key_length + (high.key_length - low.key_length) * position))
        for low, high in zip(first.attention, second.attention, strict=True)
    )
    return Spell(first.keys, costs, calls)


def _shape(call: AttentionCall) -> AttentionCall:
    return call._replace(key_length=0)
