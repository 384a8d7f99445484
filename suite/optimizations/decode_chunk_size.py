"""Decoding a video's latents some frames at a time, as pipelines of diffusers offer it (``decode_chunk_size``).

Exact where the decoder sees each frame alone; where it looks through time it sees no further than a chunk, so frames at the
edges of chunks come out different.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.pipeline_calls import pipeline_of, replace_call
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class DecodeChunkSize:
    """
    Args:
        num_frames: decoded at once.
    """

    num_frames: int
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ConfigError(f"decode_chunk_size.num_frames={self.num_frames}: a whole number of at least 1 is needed")

    def apply(self, workload: Workload) -> Handle:
        pipeline = pipeline_of(workload, "decode_chunk_size", "num_frames")
        frames = workload.request.num_frames or 1
        if self.num_frames >= frames:
            raise NotApplicableError(f"chunks of {self.num_frames} frames: all {frames} frames are decoded at once")
        through_time = looks_through_time(workload)
        handle = Handle(f"{self.num_frames} of {frames} frames are decoded at a time", exact=not through_time)
        handle.on_revert(
            replace_call(pipeline, lambda call, given: call(**given | {"decode_chunk_size": self.num_frames}))
        )
        return handle


def looks_through_time(workload: Workload) -> bool:
    """Whether the decoder has convolutions over frames."""
    from torch import nn

    return any(isinstance(module, nn.Conv3d) for module in workload.parts["decoder"].modules())
