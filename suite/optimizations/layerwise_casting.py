"""Layerwise casting: weights wait in 8 bits and are widened for each layer's call (diffusers' ``enable_layerwise_casting``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.hook_traces import hook_names, traces
from suite.workload import PARTS, NotApplicableError, Workload, storage_bytes

if TYPE_CHECKING:
    from torch import nn

HOOK = "layerwise_casting"
"""What diffusers calls its hook."""
STORAGES = ("float8_e4m3fn", "float8_e5m2")


@dataclass(frozen=True)
class LayerwiseCasting:
    """Hold linear layers', convolutions' and embeddings' weights in 8 bits; compute in the workload's own precision.

    diffusers leaves out norms, patch and position embeddings and what a model names itself. The weights that were there are
    kept for the way back, in the host's memory where the workload is on a GPU.

    Args:
        parts: whose layers.
        storage: one of `STORAGES`.
    """

    parts: Sequence[str]
    storage: str
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                raise ConfigError(f"layerwise_casting.parts={name}: of {', '.join(PARTS)} any are accepted")
        if self.storage not in STORAGES:
            raise ConfigError(f"layerwise_casting.storage={self.storage}: one of {', '.join(STORAGES)} is accepted")

    def apply(self, workload: Workload) -> Handle:
        models = [
            model for name in self.parts if name in workload.parts for model in _models(workload.parts[name])
        ]  # fmt: skip
        if not models:
            raise NotApplicableError(f"the workload has no {' or '.join(self.parts)}")
        for model in models:
            _require_castable(model)
        handle, before = Handle(""), storage_bytes(models)
        num_layers = sum(_cast(model, self.storage, workload.placement.dtype, handle) for model in models)
        if not num_layers:
            handle.revert()
            raise NotApplicableError(f"diffusers finds no layer to cast in the {' or '.join(self.parts)}")
        handle.changes = (
            f"{num_layers} layers of the {' and '.join(self.parts)} wait in {self.storage} and compute in "
            f"{workload.placement.precision}: {storage_bytes(models):,} bytes of weights, not {before:,}"
        )
        return handle


def _models(part: nn.Module) -> list[nn.Module]:
    from torch import nn

    return list(part.values()) if isinstance(part, nn.ModuleDict) else [part]


def _require_castable(model: nn.Module) -> None:
    kind = type(model).__name__
    if not hasattr(model, "enable_layerwise_casting"):
        raise NotApplicableError(f"diffusers has no layerwise casting for a {kind}")
    if _num_cast(model):
        raise NotApplicableError(f"the {kind}'s weights are cast layer by layer already")


def _cast(model: Any, storage: str, compute: Any, handle: Handle) -> int:
    """Number of layers whose weights wait in `storage` from now on, until `handle` is reverted."""
    import torch

    wide = {tensor: tensor.data for tensor in model.parameters()}
    handle.on_revert(traces(model))
    model.enable_layerwise_casting(storage_dtype=getattr(torch, storage), compute_dtype=compute)
    for tensor, data in wide.items():
        if tensor.dtype != data.dtype:
            handle.on_revert(_restorer(tensor, data))
    return _num_cast(model)


def _num_cast(model: nn.Module) -> int:
    return sum(HOOK in hook_names(module) for module in model.modules())


def _restorer(tensor: Any, original: Any) -> Any:
    device = original.device
    kept = original.cpu() if device.type == "cuda" else original  # out of the way: peaks are those of narrow weights

    def restore() -> None:
        tensor.data = kept.to(device)

    return restore
