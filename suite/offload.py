"""Offloading: weights that are in the host's memory but while they are needed. Which travel together, when they come and go.

    optimization --describes--> Offload on the workload --> a simulation moves weights by it; the record says what waits where

A measured run's weights are moved by diffusers and accelerate themselves; what they do is described here once, so that what a
simulation counts and what is told of a run are the same plan. Imports torch only for types.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from suite.record import HostMemory
from suite.workload import Workload

if TYPE_CHECKING:
    import torch
    from torch import nn


class Place(NamedTuple):
    """Where a parameter or a buffer is held. The tensor itself may be exchanged for another."""

    module: nn.Module
    name: str

    @property
    def tensor(self) -> torch.Tensor:
        held = self.module._parameters.get(self.name)
        tensor = self.module._buffers[self.name] if held is None else held
        assert tensor is not None, self.name
        return tensor

    def put(self, tensor: torch.Tensor) -> None:
        """Hold another tensor."""
        held: dict[str, Any] = self.module._parameters if self.name in self.module._parameters else self.module._buffers
        held[self.name] = tensor


@dataclass(frozen=True, eq=False)
class Group:
    """Weights that travel together.

    Args:
        places: of the tensors.
        copied_back: whether they are copied to the host when they go. If not, the host keeps them all the time.
        pinned: whether the host holds them in pages that stay where they are.
    """

    places: Sequence[Place]
    copied_back: bool
    pinned: bool = False

    def tensors(self) -> list[torch.Tensor]:
        """One of each storage."""
        return list({one.untyped_storage()._cdata: one for one in (place.tensor for place in self.places)}.values())

    @property
    def num_bytes(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self.tensors())


@dataclass(frozen=True, eq=False)
class Resident:
    """A model that comes when it is called, unless it is there, and stays until `successor`'s call or the generation's end.

    Args:
        module: any of whose calls count.
        group: its weights.
        previous: who has to go first, if it is there.
    """

    module: nn.Module
    group: Group
    previous: Group | None


@dataclass(frozen=True, eq=False)
class Visitor:
    """Weights that come for a call and go after it.

    Args:
        group: the weights.
        first: before whose call they come.
        last: after whose call they go.
        root: whose first call tells the order in which the groups inside it are called. From then on each comes on a stream of
            its own while the one before it computes. None: it comes when it is called, and everybody waits.
    """

    group: Group
    first: nn.Module
    last: nn.Module
    root: nn.Module | None = None


@dataclass(frozen=True)
class Offload:
    """What one optimization does.

    Args:
        name: of the optimization.
        residents: models that take turns.
        visitors: layers that come call by call.
        on_host: modules that run where their weights are, in the host's memory, by their path.
    """

    name: str
    residents: Sequence[Resident] = ()
    visitors: Sequence[Visitor] = ()
    on_host: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def groups(self) -> list[Group]:
        return [one.group for one in (*self.residents, *self.visitors)]


def places_in(module: nn.Module, *, recurse: bool = True) -> list[Place]:
    """Of every parameter and buffer of a module, submodules' included or not."""
    owners = module.modules() if recurse else [module]
    return [
        Place(owner, name)
        for owner in owners
        for held in (owner._parameters, owner._buffers)
        for name, tensor in held.items()
        if tensor is not None
    ]  # fmt: skip


def away_at_first(offload: Offload) -> list[torch.Tensor]:
    """Weights that are not on the device when a generation begins, one of each storage."""
    travelling = [tensor for group in offload.groups for tensor in group.tensors()]
    at_home = [place.tensor for module in offload.on_host.values() for place in places_in(module)]
    return list({one.untyped_storage()._cdata: one for one in (*travelling, *at_home)}.values())


def planned_host_memory(offload: Offload) -> HostMemory:
    """What the host holds of the weights between two generations, by the plan."""
    pinned = {id(tensor) for group in offload.groups if group.pinned for tensor in group.tensors()}
    return _host_memory((one, id(one) in pinned) for one in away_at_first(offload))


def measured_host_memory(workload: Workload) -> HostMemory:
    """The same, asked of the tensors that are there."""
    held = {one.untyped_storage()._cdata: one for one in _tensors_held(workload.parts.values())}
    return _host_memory((one, one.is_pinned()) for one in held.values() if one.device.type == "cpu")


def _host_memory(tensors: Iterable[tuple[torch.Tensor, bool]]) -> HostMemory:
    sizes = [(one.untyped_storage().nbytes(), pinned) for one, pinned in tensors]
    return HostMemory(
        weights_bytes=sum(size for size, _ in sizes), pinned_bytes=sum(size for size, pinned in sizes if pinned)
    )


def _tensors_held(parts: Iterable[nn.Module]) -> Iterator[torch.Tensor]:
    """Weights of the parts, and those that accelerate's hooks hold for modules that have placeholders meanwhile."""
    for part in parts:
        for module in part.modules():
            yield from (*module.parameters(recurse=False), *module.buffers(recurse=False))
            kept: Any = getattr(vars(module).get("_hf_hook"), "weights_map", None)
            yield from getattr(kept, "dataset", kept or {}).values()
