"""Operators that need not be run again: on tensors like these, one like this has returned this already.

    an operator on fake tensors --> known by name, shapes, strides and values --> the next like it returns tensors like the
    first's, costs what it did, and needs the same temporaries

Fake operators keep such a cache themselves; it asks much more of every argument, and takes several times as long.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from suite.simulation.fakes import Description, described, made, new_storage, storage_of, tell, unseen
from suite.simulation.tally import Cost

Key = tuple[Hashable, ...]


class Call(NamedTuple):
    """An operator's call: what it is known by, and the fake tensors that it was given, in order."""

    key: Key
    tensors: list[FakeTensor]


class Effect(NamedTuple):
    """What an operator did.

    Attributes:
        outputs: what it returned, each a tensor on one of `storages` or, numbered behind them, on that of a tensor that it was
            given, with the offset counted from that tensor's; or the place of a given tensor that was returned itself.
        storages: bytes of what was allocated for the outputs.
        container: what they came in; None: a single tensor.
        scratch_bytes: of temporaries.
        cost: of the call.
        precision: number format that it computed in.
    """

    outputs: tuple[Description | int, ...]
    storages: tuple[int, ...]
    container: type | None
    scratch_bytes: int
    cost: Cost
    precision: str | None


@dataclass
class KnownOperators:
    """What operators did, by what they were given.

    Args:
        mode: of the fake tensors.
    """

    mode: FakeTensorMode
    _known: dict[Key, Effect] = field(default_factory=dict)

    def call(self, function: Any, args: Any, kwargs: Any) -> Call | None:
        """What a call is known by; None where its arguments do not tell, or where it reshapes what it is given."""
        told: list[Hashable] = [function, *kwargs]
        tensors: list[FakeTensor] = []
        if not tell(args, told, tensors) or (kwargs and not tell(kwargs.values(), told, tensors)) or not tensors:
            return None
        return Call(tuple(told), tensors)

    def find(self, call: Call) -> Effect | None:
        return self._known.get(call.key)

    def remember(self, call: Call, output: Any, scratch_bytes: int, cost: Cost, precision: str | None) -> None:
        """Keep what a call has just returned, where that is fake tensors."""
        container = type(output) if type(output) in (tuple, list) else None
        returned = output if container else (output,)
        if not all(isinstance(one, FakeTensor) and one.constant is None for one in returned):
            return
        given = {storage_of(one): place for place, one in reversed(list(enumerate(call.tensors)))}
        own = {key: one.untyped_storage() for one in returned if (key := storage_of(one)) not in given}
        storages = {key: place for place, key in enumerate(own)}
        outputs = tuple(_output(one, call.tensors, given, storages) for one in returned)
        sizes = tuple(storage.nbytes() for storage in own.values())
        self._known[call.key] = Effect(outputs, sizes, container, scratch_bytes, cost, precision)

    def repeat(self, call: Call, effect: Effect) -> tuple[Any, list[torch.UntypedStorage]]:
        """What such a call returns, and the storages that it allocates for it."""
        with unseen():
            own = [new_storage(size) for size in effect.storages]
            found = [self._made(one, own, call.tensors) for one in effect.outputs]
        return (found[0] if effect.container is None else effect.container(found)), own

    def _made(
        self, one: Description | int, own: Sequence[torch.UntypedStorage], given: Sequence[FakeTensor]
    ) -> FakeTensor:
        if isinstance(one, int):
            return given[one]
        if one.storage < len(own):
            return made(one, own[one.storage], self.mode)
        tensor = given[one.storage - len(own)]
        return made(one._replace(offset=one.offset + tensor.storage_offset()), tensor.untyped_storage(), self.mode)


def _output(
    tensor: FakeTensor, given: Sequence[FakeTensor], places: Mapping[int, int], own: Mapping[int, int]
) -> Description | int:
    for place, one in enumerate(given):
        if one is tensor:
            return place
    (found,) = described([tensor], {**own, **{key: len(own) + place for key, place in places.items()}})
    if found.storage < len(own):
        return found
    return found._replace(offset=found.offset - given[found.storage - len(own)].storage_offset())
