"""Weights of a simulated workload that travel: bytes on the device while they are there, a row for every copy over the link.

residents    a model's call --> who was there before goes, it comes     between sealed calls
visitors     a layer's call --> its weights come, run, go               inside a sealed call, and repeated with it
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from suite.attribution import taxonomy
from suite.offload import Group, Offload, Resident, Visitor, away_at_first
from suite.simulation.observer import Observer
from suite.simulation.operator_calls import precision_of
from suite.simulation.tally import Cost, RowKey


@dataclass
class Travels:
    """Moves weights as an `Offload` says while a workload is simulated.

    Args:
        offload: what travels; None: nothing does.
        observer: which counts bytes and copies.
    """

    offload: Offload | None
    observer: Observer
    _there: dict[Group, tuple[int, ...]] = field(default_factory=dict)
    """Groups on the device, and the blocks that they lie in."""
    _next: dict[nn.Module, dict[nn.Module, Group]] = field(default_factory=dict)
    """By root whose order is known: what comes while a module of it computes."""
    _order: list[Visitor] = field(default_factory=list)
    """Who has been called since the root's first call began."""

    def begin(self) -> None:
        """Leave out what is away at first. To be called before weights are counted."""
        if self.offload is not None:
            self.observer.memory.know(away_at_first(self.offload))

    def call(self, module: nn.Module) -> None:
        """A module is about to be called from outside of all modules."""
        for resident in self._residents():
            if any(one is module for one in resident.module.modules()):
                self._settle(resident)

    def stays(self, module: nn.Module) -> bool:
        """Whether a module runs where its weights are, in the host's memory."""
        homes = () if self.offload is None else self.offload.on_host.values()
        return any(one is module for home in homes for one in home.modules())

    def send(self, tensors: Iterable[torch.Tensor], operator: str) -> None:
        """Tensors cross the link."""
        for tensor in tensors:
            self._copy(operator, tensor.numel() * tensor.element_size(), precision_of(tensor))

    def end(self) -> None:
        """The generation is over: models that stayed go."""
        for resident in self._residents():
            self._go(resident.group)

    def state(self) -> Hashable:
        """What sealed calls of the same module differ by."""
        return len(self._next)

    @property
    def astray(self) -> bool:
        """Whether a visitor is still there that came for a call that was not made: what comes next is like nothing before."""
        return any(visitor.group in self._there for visitor in self._visitors())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let visitors come and go with the calls in this block."""
        with ExitStack() as hooks:
            for visitor in self._visitors():
                before = visitor.first.register_forward_pre_hook(self._arrival(visitor))
                after = visitor.last.register_forward_hook(self._departure(visitor))
                hooks.callback(before.remove)
                hooks.callback(after.remove)
            yield

    def _residents(self) -> list[Resident]:
        return [] if self.offload is None else list(self.offload.residents)

    def _visitors(self) -> list[Visitor]:
        return [] if self.offload is None else list(self.offload.visitors)

    def _settle(self, resident: Resident) -> None:
        if resident.previous is not None:
            self._go(resident.previous)
        if resident.group not in self._there:
            self._come(resident.group)

    def _arrival(self, visitor: Visitor) -> Any:
        def arrive(module: nn.Module, args: Any) -> None:
            if visitor.group not in self._there:
                self._come(visitor.group)
            if visitor.root is None:
                return
            if visitor.root not in self._next:
                self._order.append(visitor)
            elif (following := self._next[visitor.root].get(module)) is not None:
                self._come(following, overlapped=True)

        return arrive

    def _departure(self, visitor: Visitor) -> Any:
        def depart(module: nn.Module, args: Any, output: Any) -> None:
            self._go(visitor.group)
            if module is visitor.root and module not in self._next:
                called = [one for one in self._order if one.root is module]
                self._next[module] = {one.first: then.group for one, then in pairwise(called)}
                self._order = [one for one in self._order if one.root is not module]

        return depart

    def _come(self, group: Group, *, overlapped: bool = False) -> None:
        blocks = self.observer.memory.bring(one.untyped_storage().nbytes() for one in group.tensors())
        self.observer.memory.drop(self._there.pop(group, ()))  # one that was there is copied again
        self._there[group] = blocks
        self._count(taxonomy.HOST_TO_DEVICE_OVERLAPPED if overlapped else taxonomy.HOST_TO_DEVICE, group)

    def _go(self, group: Group) -> None:
        if group not in self._there:
            return
        if group.copied_back:
            self._count(taxonomy.DEVICE_TO_HOST, group)
        self.observer.memory.drop(self._there.pop(group))

    def _count(self, operator: str, group: Group) -> None:
        for tensor in group.tensors():
            self._copy(operator, tensor.untyped_storage().nbytes(), precision_of(tensor))

    def _copy(self, operator: str, size: int, precision: str) -> None:
        """It is read on one side of the link and written on the other."""
        key = RowKey(self.observer.scope[0], operator, "data_movement", None, None, precision)
        self.observer.tally.add(key, Cost(1, 0, 0, 0, size, size))
