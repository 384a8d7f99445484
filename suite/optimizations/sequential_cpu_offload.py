"""Sequential offloading: every module's own weights come for its call (diffusers' ``enable_sequential_cpu_offload``).

By accelerate's hooks. The host keeps all weights all the time, in pageable memory: what was brought is dropped after the call.
The least memory of all ways of offloading and the most waiting, since every weight is copied in every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from suite.offload import Group, Offload, Place, Visitor
from suite.optimizations.contract import Handle
from suite.optimizations.offloading import (
    PIPELINE_ATTRIBUTES,
    described,
    models_of,
    movable,
    or_back,
    park,
    require_apart,
    require_library_models,
    restore_attributes,
)
from suite.workload import Workload, has_values

if TYPE_CHECKING:
    from torch import nn

NAME = "sequential_cpu_offload"


@dataclass(frozen=True)
class SequentialCpuOffload:
    """Bring weights module by module."""

    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        require_apart(workload, NAME)
        models, handle = offloaded_models(workload), Handle("")
        require_library_models(models.values())
        visitors = [visitor for model in models.values() for visitor in visitors_of(model)]
        if has_values(workload):
            with or_back(handle):
                put_on(workload, workload.placement.device, handle)
        described(workload, Offload(NAME, visitors=visitors), handle)
        sizes = [visitor.group.num_bytes for visitor in visitors]
        handle.changes = (
            f"weights of {len(sizes)} modules come from host memory for every call: {sum(sizes):,} bytes, at most "
            f"{max(sizes):,} by one module"
        )
        return handle


def offloaded_models(workload: Workload) -> Mapping[str, nn.Module]:
    """All but those that a pipeline asks to be left on the GPU."""
    pipeline: Any = getattr(workload, "pipeline", None)
    left = [] if pipeline is None else [pipeline.components.get(name) for name in pipeline._exclude_from_cpu_offload]
    return {name: model for name, model in models_of(workload).items() if not any(model is one for one in left)}


def visitors_of(model: nn.Module) -> list[Visitor]:
    """A module's own parameters, and its buffers where the model itself has parameters, as diffusers asks accelerate for it."""
    from accelerate.utils import named_module_tensors

    buffers, found = len(model._parameters) > 0, []
    for module in model.modules():
        names = [name for name, _ in named_module_tensors(module, include_buffers=buffers, remove_non_persistent=True)]
        if names:
            group = Group([Place(module, name) for name in names], copied_back=False)
            found.append(Visitor(group, module, module))
    return found


def put_on(workload: Workload, device: str, handle: Handle) -> None:
    """Let diffusers, or accelerate where there is no pipeline, move the weights of a workload on `device`."""
    import torch
    from accelerate import cpu_offload

    pipeline: Any = getattr(workload, "pipeline", None)
    models = offloaded_models(workload).values()
    park(movable(workload), device, handle)
    if pipeline is not None:
        restore_attributes(pipeline, PIPELINE_ATTRIBUTES, handle)
        pipeline.enable_sequential_cpu_offload(device=device)
        return
    for model in models:
        cpu_offload(model, torch.device(device), offload_buffers=len(model._parameters) > 0)
