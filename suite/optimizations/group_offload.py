"""Group offloading: layers come to the GPU group by group (diffusers' ``enable_group_offload``), on an own stream or not.

    one group    |come|compute|go|          waits for every copy, and copies weights back
    with stream  |compute 1  |compute 2  |   2 comes while 1 computes, from pinned memory, and is dropped when it is done
                 |come 2|    |come 3|

In the first call of a model nobody knows the order of its groups yet: every group is waited for. Every generation of a run
begins with such a call, since optimizations are put on before a trial and taken off after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from suite.errors import ConfigError
from suite.offload import Group, Offload, Place, Visitor, places_in
from suite.optimizations.contract import Handle
from suite.optimizations.hook_traces import traces
from suite.optimizations.offloading import (
    described,
    models_of,
    or_back,
    park,
    put_back,
    require_apart,
    require_library_models,
)
from suite.workload import PARTS, NotApplicableError, Workload, has_values

if TYPE_CHECKING:
    from torch import nn

NAME = "group_offload"
TYPES = ("block_level", "leaf_level")
HOOK = "group_offloading"
"""What diffusers calls its hook."""


@dataclass(frozen=True)
class GroupOffload:
    """Keep the layers of some parts in host memory and bring each group of them for its call.

    Args:
        parts: whose layers.
        offload_type: ``block_level``: so many blocks of a list are a group, what lies around them is another; ``leaf_level``:
            every layer with weights is one.
        num_blocks_per_group: of ``block_level``. diffusers takes 1 with a stream.
        use_stream: copy on a stream of its own, while the group before computes.
        record_stream, non_blocking: of diffusers.
        low_cpu_mem_usage: with a stream, pin memory only while it is copied.
    """

    parts: Sequence[str]
    offload_type: str
    num_blocks_per_group: int
    use_stream: bool
    record_stream: bool
    non_blocking: bool
    low_cpu_mem_usage: bool
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                raise ConfigError(f"{NAME}.parts={name}: of {', '.join(PARTS)} any are accepted")
        if self.offload_type not in TYPES:
            raise ConfigError(f"{NAME}.offload_type={self.offload_type}: {' or '.join(TYPES)} is accepted")
        if self.num_blocks_per_group < 1:
            raise ConfigError(
                f"{NAME}.num_blocks_per_group={self.num_blocks_per_group}: a whole number of at least 1 is needed"
            )
        if self.record_stream and not self.use_stream:
            raise ConfigError(f"{NAME}.record_stream=true: there is no stream to record (use_stream=false)")

    def apply(self, workload: Workload) -> Handle:
        require_apart(workload, NAME)
        models = [model for name, model in models_of(workload).items() if name.partition(".")[0] in self.parts]
        if not models:
            raise NotApplicableError(f"the workload has no {' or '.join(self.parts)}")
        require_library_models(models)
        for model in models:
            if not getattr(model, "_supports_group_offloading", True):
                raise NotApplicableError(f"diffusers says that a {type(model).__name__} cannot be offloaded in groups")
        visitors = [visitor for model in models for visitor in self.visitors(model)]
        if len(visitors) == len(models):
            kinds = " or ".join(type(model).__name__ for model in models)
            raise NotApplicableError(f"diffusers finds no blocks in a {kinds}: all of it would come for every call")
        handle, device = Handle(""), workload.placement.device
        if has_values(workload):
            with or_back(handle):
                park(models, device, handle)
                for model in models:
                    self.put_on(model, device)
        described(workload, Offload(NAME, visitors=visitors), handle)
        sizes = [visitor.group.num_bytes for visitor in visitors]
        how = "while the group before computes" if self.use_stream else "when they are called"
        handle.changes = (
            f"{len(sizes)} groups of layers of the {' and '.join(self.parts)} come from host memory {how}: "
            f"{sum(sizes):,} bytes, the largest group {max(sizes):,}"
        )
        return handle

    def put_on(self, model: Any, device: str) -> None:
        """Let diffusers move a model's layers between the host and `device`."""
        from diffusers.hooks import apply_group_offloading

        arguments = self._arguments | {"onload_device": _device(device), "use_stream": self.use_stream}
        if hasattr(model, "enable_group_offload"):
            model.enable_group_offload(**arguments, record_stream=self.record_stream)
        else:
            apply_group_offloading(model, **arguments, record_stream=self.record_stream)

    @property
    def _arguments(self) -> dict[str, Any]:
        return {
            "offload_type": self.offload_type,
            "num_blocks_per_group": 1 if self.use_stream else self.num_blocks_per_group,
            "non_blocking": self.non_blocking,
            "low_cpu_mem_usage": self.low_cpu_mem_usage,
        }

    def visitors(self, model: nn.Module) -> list[Visitor]:
        """The groups that diffusers makes of a model, read from its own hooks, which stay where they are for a moment only."""
        from diffusers.hooks import apply_group_offloading

        undo, back = traces(model), put_back(places_in(model))
        where = next(model.parameters()).device  # they stay there for now
        for place in places_in(model):
            if place.tensor.device != where:  # what a model has computed while it was built without values
                place.put(place.tensor.detach().to(where))
        apply_group_offloading(model, onload_device=_device("cpu"), offload_device=where, **self._arguments)
        groups = list(_groups_on(model))
        places = {id(place.tensor): place for place in places_in(model)}
        undo()
        back()
        if not self.use_stream:
            return [self._visitor(one, places) for one in groups]
        roots = self._roots(model, groups)
        found = [self._visitor(one, places, root=_innermost(roots, one.onload_leader)) for one in groups]
        if any(one is model for one in roots) and not any(one.first is model for one in found):
            found.append(
                Visitor(Group((), copied_back=False), model, model, model)
            )  # diffusers' empty group that learns
        return found

    def _roots(self, model: nn.Module, groups: Sequence[Any]) -> list[nn.Module]:
        """Modules whose first call tells diffusers the order of the groups inside (its lazy prefetching).

        Of blocks, those that hold what lies around the blocks; of leaves, the model.
        """
        if self.offload_type == "leaf_level":
            return [model]
        return [one.onload_leader for one in groups if _is_around(one)]

    def _visitor(self, group: Any, places: dict[int, Place], root: nn.Module | None = None) -> Visitor:
        around = self.offload_type == "block_level" and _is_around(group)
        streamed = self.use_stream and not around  # what lies around blocks is waited for, and copied back, even then
        held = [place for module in group.modules for place in places_in(module)]
        held += [places[id(tensor)] for tensor in (*group.parameters, *group.buffers)]
        travelling = Group(held, copied_back=not streamed, pinned=streamed and not self.low_cpu_mem_usage)
        return Visitor(travelling, group.onload_leader, group.offload_leader, root)


def _groups_on(model: nn.Module) -> Iterator[Any]:
    found = {}
    for module in model.modules():
        registry = vars(module).get("_diffusers_hook")
        hook = None if registry is None else registry.get_hook(HOOK)
        if hook is not None:
            found[id(hook.group)] = hook.group
    yield from found.values()


def _is_around(group: Any) -> bool:
    """Whether it is what is left of a module beside its blocks, and not blocks."""
    return not any(module is group.onload_leader for module in group.modules)


def _innermost(roots: Sequence[nn.Module], module: nn.Module) -> nn.Module | None:
    holding = [root for root in roots if any(one is module for one in root.modules())]
    return min(holding, key=lambda root: sum(1 for _ in root.modules()), default=None)


def _device(name: str) -> Any:
    import torch

    return torch.device(name)
