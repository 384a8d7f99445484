"""The text encoder is freed once the prompt is encoded, as scripts for small GPUs do it (``del pipeline.text_encoder``).

    generate |  text_encode  |  denoise_step  ...          the weights go when the first step begins

A generation begins with the encoder on the GPU and ends without it. Whoever generates again has to load it again: here it is
brought back between generations, outside any trial's time, so that a trial is the first generation of a fresh process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from suite.offload import Offload, Place, places_in
from suite.optimizations.contract import Handle
from suite.optimizations.offloading import described, require_apart
from suite.optimizations.text_encoder_on_cpu import text_encoders
from suite.stage import STEP_STAGES, watched_by
from suite.workload import Workload, has_values, storage_bytes

if TYPE_CHECKING:
    import torch

NAME = "drop_text_encoder"


@dataclass(frozen=True)
class DropTextEncoder:
    """Free the weights of whatever encodes the condition before the first step."""

    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        require_apart(workload, NAME)
        encoders = list(text_encoders(workload).values())
        dropped = _Dropped([place for encoder in encoders for place in places_in(encoder)], has_values(workload))
        handle = Handle(
            f"{storage_bytes(encoders):,} bytes of {' and '.join(type(one).__name__ for one in encoders)} are freed before the "
            "first step; a second generation would have to load them again"
        )
        described(workload, Offload(NAME), handle)
        handle.on_revert(dropped.restore)
        handle.undo.enter_context(watched_by([dropped]))
        return handle


class _Dropped:
    """A watcher that puts placeholders into the places of weights when the first step begins.

    Args:
        places: of the weights.
        keep: whether to keep copies in the host's memory for the way back; a simulation has nothing to keep.
    """

    def __init__(self, places: Sequence[Place], keep: bool) -> None:
        import torch
        from torch import nn

        self._places = places
        self._held = [place.tensor for place in places]
        self._copies = [tensor.detach().cpu() if keep else None for tensor in self._held]
        self._devices = [tensor.device for tensor in self._held]
        # Made here: in a generation somebody would count them.
        self._placeholders = [
            nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
            for tensor in self._held
            for empty in (torch.empty(tensor.shape, dtype=tensor.dtype, device="meta"),)
        ]
        self._is_dropped = False

    def enter(self, name: str) -> None:
        if name not in STEP_STAGES or self._is_dropped:
            return
        self._is_dropped = True
        for place, tensor, empty, copy in zip(
            self._places, self._held, self._placeholders, self._copies, strict=True
        ):  # fmt: skip
            place.put(empty)
            if copy is not None:
                tensor.data = copy  # whoever holds the tensor holds nothing on the device
        _empty_cache(self._devices)

    def exit(self, name: str) -> None:
        if name == "generate":
            self.restore()

    def restore(self) -> None:
        """Bring the weights back, in the objects that held them."""
        if not self._is_dropped:
            return
        self._is_dropped = False
        for place, tensor, device in zip(self._places, self._held, self._devices, strict=True):
            if not tensor.is_meta:
                tensor.data = tensor.data.to(device)
            place.put(tensor)


def _empty_cache(devices: Sequence[torch.device]) -> None:
    """As such scripts do, so that reserved memory shrinks, too."""
    import torch

    if any(device.type == "cuda" for device in devices):
        torch.cuda.empty_cache()
