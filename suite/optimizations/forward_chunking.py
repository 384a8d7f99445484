"""Feed-forwards of transformer blocks in chunks, as diffusers offers it (``unet.enable_forward_chunking``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.workload import NotApplicableError, Workload

SETTINGS = ("_chunk_size", "_chunk_dim")
"""Where diffusers' transformer blocks keep what ``set_chunk_feed_forward`` was given."""


@dataclass(frozen=True)
class ForwardChunking:
    """Slices the feed-forwards and nothing else.

    Args:
        chunk_size: of a chunk along `dim`, which it must divide.
        dim: 0, the rows of the batch (frames, or pixels in temporal blocks), or 1, the tokens of a sequence; some temporal
            blocks know only 1.
    """

    chunk_size: int
    dim: int
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.chunk_size < 1:
            raise ConfigError(f"forward_chunking.chunk_size={self.chunk_size}: a whole number of at least 1 is needed")
        if self.dim not in (0, 1):
            raise ConfigError(f"forward_chunking.dim={self.dim}: 0 or 1 is accepted")

    def apply(self, workload: Workload) -> Handle:
        denoiser: Any = workload.parts["denoiser"]
        if not hasattr(denoiser, "enable_forward_chunking"):
            raise NotApplicableError(f"{type(denoiser).__name__} has no feed-forward chunking")
        blocks = [module for module in denoiser.modules() if hasattr(module, "set_chunk_feed_forward")]
        if not blocks:
            raise NotApplicableError(
                f"{type(denoiser).__name__} has no transformer block whose feed-forward could be chunked"
            )
        before = [[getattr(block, name) for name in SETTINGS] for block in blocks]
        denoiser.enable_forward_chunking(self.chunk_size, self.dim)
        handle = Handle(f"{len(blocks)} feed-forwards take {self.chunk_size} at a time along dimension {self.dim}")
        for block, values in zip(blocks, before, strict=True):
            handle.on_revert(lambda block=block, values=values: _put_back(block, values))
        return handle


def _put_back(block: Any, values: list[Any]) -> None:
    for name, value in zip(SETTINGS, values, strict=True):
        setattr(block, name, value)
