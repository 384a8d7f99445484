"""The text encoder stays on the host and runs there: prompts are encoded by the CPU, embeddings are sent to the GPU.

By accelerate's hook, which sends a call's tensors to where the weights are and its output to where they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from suite.offload import Offload
from suite.optimizations.contract import Handle
from suite.optimizations.offloading import described, models_of, or_back, park, require_apart
from suite.workload import NotApplicableError, Workload, has_values, storage_bytes

if TYPE_CHECKING:
    from torch import nn

NAME = "text_encoder_on_cpu"


@dataclass(frozen=True)
class TextEncoderOnCpu:
    """Run whatever encodes the condition in the host's memory, by the host's kernels."""

    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        require_apart(workload, NAME)
        encoders = text_encoders(workload)
        handle = Handle("")
        if has_values(workload):
            with or_back(handle):
                park(encoders.values(), workload.placement.device, handle)
                put_on(encoders.values())
            handle.on_revert(tell_device(getattr(workload, "pipeline", None), workload.placement.device))
        described(workload, Offload(NAME, on_host=encoders), handle)
        kinds = " and ".join(type(encoder).__name__ for encoder in encoders.values())
        size = storage_bytes(encoders.values())
        handle.changes = f"{kinds} run on the host: {size:,} bytes of weights are not on the GPU"
        return handle


def text_encoders(workload: Workload) -> Mapping[str, nn.Module]:
    """Whatever encodes the condition, by path.

    Raises:
        NotApplicableError: there is none.
    """
    found = {name: model for name, model in models_of(workload).items() if name.partition(".")[0] == "text_encoder"}
    if not found:
        raise NotApplicableError("the workload has no text encoder")
    return found


def put_on(encoders: Iterable[nn.Module]) -> None:
    """Let calls of modules in host memory take tensors of any device, and return theirs there."""
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    for encoder in encoders:
        add_hook_to_module(encoder, AlignDevicesHook(execution_device="cpu", io_same_device=True))


def tell_device(pipeline: Any, device: str) -> Callable[[], None]:
    """Let a pipeline work on `device` wherever its first model is, by which it goes; returns what ends this."""
    import torch

    if pipeline is None:
        return lambda: None
    original, here = type(pipeline), property(lambda self: torch.device(device))
    namespace = {"__module__": original.__module__, "__qualname__": original.__qualname__}
    told = type(original.__name__, (original,), namespace | {"device": here, "_execution_device": here})
    pipeline.__class__ = told
    return lambda: setattr(pipeline, "__class__", original)
