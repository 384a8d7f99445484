"""Channels-last memory: weights of convolutions with channels innermost, as diffusers advises it
(``pipe.unet.to(memory_format=torch.channels_last)``). Activations follow from one convolution to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.workload import PARTS, NotApplicableError, Workload

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class ChannelsLast:
    """Lay out 2-D and 3-D convolutions' weights as ``[out, *filter, in]``; values and shapes stay.

    Args:
        parts: whose convolutions.
    """

    parts: Sequence[str]
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                raise ConfigError(f"channels_last.parts={name}: of {', '.join(PARTS)} any are accepted")

    def apply(self, workload: Workload) -> Handle:
        weights = [
            weight for name in self.parts if name in workload.parts for weight in convolutions(workload.parts[name])
        ]
        if not weights:
            raise NotApplicableError(f"there is no 2-D or 3-D convolution in the {' or '.join(self.parts)}")
        handle = Handle(f"{len(weights)} convolutions have their channels innermost")
        for weight in weights:
            _lay_out(weight, handle)
        return handle


def convolutions(part: nn.Module) -> Iterator[torch.Tensor]:
    """Weights of a part's convolutions that have a channels-last layout: ``[out, in, *filter]`` of two or three dimensions."""
    from torch.nn.modules.conv import _ConvNd

    layers = (module for module in part.modules() if isinstance(module, _ConvNd))
    yield from dict.fromkeys(
        layer.weight for layer in layers if layer.weight.ndim in (4, 5)
    )  # each once, shared or not


def _lay_out(weight: torch.Tensor, handle: Handle) -> None:
    """Exchange a weight's storage, and leave the way back to the strides that it had, ambiguous ones of a 1 x 1 filter, too."""
    import torch

    strides = weight.stride()
    channels_last = torch.channels_last if weight.ndim == 4 else torch.channels_last_3d

    def restore() -> None:
        weight.data = torch.empty_strided(
            weight.shape, strides, dtype=weight.dtype, device=weight.device
        ).copy_(weight.data)  # fmt: skip

    # Not ``contiguous(memory_format=...)``, which leaves a 1 x 1 filter as it is.
    weight.data = torch.empty_like(weight.data, memory_format=channels_last).copy_(weight.data)
    handle.on_revert(restore)
