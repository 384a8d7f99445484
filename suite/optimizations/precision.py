"""Precision: all weights of a workload cast to half of float32's bytes, beside the same workload as it was built.

A run in another precision (``device.precision``) has no float32 to be held against. Here both are arms of one run: the same
weights, rounded, and the same noise, rounded, since torch draws it in float32 and rounds it itself. On a CPU torch 2.11 does
not: there the arms' outputs are of other noise, and the record says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.workload import PRECISIONS, NotApplicableError, Workload

if TYPE_CHECKING:
    import torch
    from torch import nn

KEPT, KEPT_IN_FLOAT16 = "_keep_in_fp32_modules_strict", "_keep_in_fp32_modules"
"""Where libraries list what stays in float32. diffusers has the second list alone and means it for any half precision."""


@dataclass(frozen=True)
class Precision:
    """Cast the weights of all parts, and say so to the workload, which draws its noise accordingly.

    What a checkpoint does not hold stays as it is (rotary tables), and so does what the library keeps in float32 when it loads
    one in this precision. The weights that were there are kept for the way back, in the host's memory where the workload is on
    a GPU, so that its peaks are those of a workload that was loaded in this precision.
    """

    precision: str
    """One of `PRECISIONS`."""
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision={self.precision}: one of {', '.join(PRECISIONS)} is accepted")

    def apply(self, workload: Workload) -> Handle:
        before = workload.placement
        if before.precision == self.precision:
            raise NotApplicableError(f"the workload is in {self.precision} already (device.precision)")
        after = replace(before, precision=self.precision)
        tensors = [tensor for part in workload.parts.values() for tensor in weights(part, before.dtype)]
        kept = {
            id(tensor) for part in workload.parts.values() for tensor in kept_in_float32(part, after.precision)
        }  # fmt: skip
        handle = Handle(f"all weights are rounded from {before.precision} to {after.precision}")
        if kept:
            handle.changes += f", but for {len(kept)} that the library keeps in float32"
        if before.device == "cpu" and not rounds_noise(after.dtype):
            handle.changes += f"; this torch draws other noise in {after.precision}, so its outputs are other ones"
        holders = [module._buffers for part in workload.parts.values() for module in part.modules()]
        for tensor in tensors:
            if id(tensor) in kept:
                continue
            if tensor._is_view():
                _exchange(tensor, after.dtype, holders, handle)
            else:
                _cast(tensor, after.dtype, handle)
        workload.placement = after
        handle.on_revert(lambda: setattr(workload, "placement", before))
        return handle


def rounds_noise(dtype: torch.dtype) -> bool:
    """Whether a CPU's normal noise in `dtype` is float32's of the same seed, rounded: outputs can be compared only then."""
    import torch

    drawn, single = (
        torch.randn(64, generator=torch.Generator().manual_seed(0), dtype=each) for each in (dtype, torch.float32)
    )
    return torch.equal(drawn, single.to(dtype))


def weights(part: nn.Module, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """Parameters and persistent buffers of a data type, each once: what a checkpoint holds."""
    found = part.state_dict(keep_vars=True).values()
    yield from (tensor for tensor in {id(tensor): tensor for tensor in found}.values() if tensor.dtype == dtype)


def kept_in_float32(part: nn.Module, precision: str) -> Iterator[torch.Tensor]:
    """Weights that diffusers and transformers leave in float32 when they load a checkpoint in `precision`."""
    for module in part.modules():
        is_diffusers = hasattr(module, "enable_layerwise_casting")
        lists = [KEPT, *([KEPT_IN_FLOAT16] if is_diffusers or precision == "float16" else [])]
        names: set[str] = {name for key in lists for name in getattr(module, key, None) or ()}
        if names:
            yield from (
                tensor
                for path, tensor in module.state_dict(keep_vars=True).items()
                if names & set(path.split("."))
            )  # fmt: skip


def _exchange(buffer: Any, dtype: torch.dtype, holders: Iterable[dict[str, Any]], handle: Handle) -> None:
    """Put a rounded buffer in its place. One that is a view of another tensor cannot be of another type than that."""
    rounded = buffer.to(dtype)
    kept = buffer.cpu() if buffer.device.type == "cuda" else buffer
    places = [(held, name) for held in holders for name, value in held.items() if value is buffer]
    device = buffer.device
    for held, name in places:
        held[name] = rounded

    def restore() -> None:
        original = kept.to(device)
        for held, name in places:
            held[name] = original

    handle.on_revert(restore)


def _cast(tensor: Any, dtype: torch.dtype, handle: Handle) -> None:
    original = tensor.data
    device = original.device
    tensor.data = original.to(dtype)
    kept = original.cpu() if device.type == "cuda" else original

    def restore() -> None:
        tensor.data = kept.to(device)

    handle.on_revert(restore)
