"""Model offloading: one model at a time is on the GPU (diffusers' ``pipeline.enable_model_cpu_offload()``).

By accelerate's hooks: a model's call sends the one before it in the order to the host and brings its own weights, which
stay until the next model's call or the generation's end. What is sent back is copied: the host has no second copy meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from suite.offload import Group, Offload, Resident, places_in
from suite.optimizations.contract import Handle
from suite.optimizations.offloading import (
    PIPELINE_ATTRIBUTES,
    described,
    models_of,
    movable,
    or_back,
    park,
    require_apart,
    restore_attributes,
)
from suite.workload import NotApplicableError, Workload, has_values

if TYPE_CHECKING:
    from torch import nn

NAME = "model_cpu_offload"


@dataclass(frozen=True)
class ModelCpuOffload:
    """Let models take turns on the GPU: a pipeline's in its ``model_cpu_offload_seq``, another workload's in their order."""

    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        require_apart(workload, NAME)
        offload = Offload(NAME, residents=residents(workload))
        if len(offload.residents) < 2:
            raise NotApplicableError("there is a single model, which has no other to take turns with")
        handle = Handle("")
        if has_values(workload):
            with or_back(handle):
                put_on(workload, offload, workload.placement.device, handle)
        described(workload, offload, handle)
        names = {model: name for name, model in models_of(workload).items()}
        sizes = [f"{names[one.module]} {one.group.num_bytes:,}" for one in offload.residents]
        handle.changes = (
            f"one model at a time is on the GPU, the others wait in host memory (bytes: {', '.join(sizes)})"
        )
        return handle


def residents(workload: Workload) -> list[Resident]:
    """The models in the order in which each sends the one before it away; those that are in none come last and send nobody."""
    models = models_of(workload)
    pipeline: Any = getattr(workload, "pipeline", None)
    in_order, others = (list(models.values()), []) if pipeline is None else _of_pipeline(pipeline, models)
    found: list[Resident] = []
    for model in in_order:
        found.append(Resident(model, Group(places_in(model), copied_back=True), found[-1].group if found else None))
    return found + [Resident(model, Group(places_in(model), copied_back=True), None) for model in others]


def _of_pipeline(pipeline: Any, models: Mapping[str, nn.Module]) -> tuple[list[nn.Module], list[nn.Module]]:
    if pipeline.model_cpu_offload_seq is None:
        raise NotApplicableError(f"{type(pipeline).__name__} names no order of its models (model_cpu_offload_seq)")
    components = {
        name: model for name, model in pipeline.components.items() if any(model is one for one in models.values())
    }  # fmt: skip
    in_order = [components.pop(name) for name in pipeline.model_cpu_offload_seq.split("->") if name in components]
    return in_order, [model for name, model in components.items() if name not in pipeline._exclude_from_cpu_offload]


def put_on(workload: Workload, offload: Offload, device: str, handle: Handle) -> None:
    """Let diffusers, or accelerate where there is no pipeline, move the weights of a workload on `device`."""
    pipeline: Any = getattr(workload, "pipeline", None)
    park(movable(workload), device, handle)
    if pipeline is not None:
        restore_attributes(pipeline, PIPELINE_ATTRIBUTES, handle)
        pipeline.enable_model_cpu_offload(device=device)
        return
    from accelerate import cpu_offload_with_hook

    hooks: list[Any] = []
    for one in offload.residents:
        _, hook = cpu_offload_with_hook(one.module, device, prev_module_hook=hooks[-1] if hooks else None)
        hooks.append(hook)
    handle.on_revert(_ending(workload, lambda: [hook.offload() for hook in hooks]))


def _ending(workload: Any, do: Callable[[], object]) -> Callable[[], None]:
    """Let every generation end with `do`, as a pipeline's does; returns what ends this."""
    generate = workload.generate

    def generate_and_end() -> Any:
        output = generate()
        do()
        return output

    workload.generate = generate_and_end
    return lambda: vars(workload).pop("generate")
