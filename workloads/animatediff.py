"""AnimateDiff: Stable Diffusion v1 with motion modules between its blocks (Guo et al. 2023, arXiv 2307.04725).

All frames of a video are denoised together: spatial layers see each frame alone (``[B*F, H*W, C]``), motion modules see each
pixel through time (``[B*H*W, F, C]``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import MotionAdapter

from suite.errors import ConfigError
from suite.workload import Placement, Request, Weights
from workloads.components import Description
from workloads.diffusers_pipeline import DiffusersPipeline
from workloads.pipeline_arguments import NO_ARGUMENTS


class AnimateDiff(DiffusersPipeline):
    """Text to video. As `DiffusersPipeline`, and:

    Args:
        motion_adapter: with pretrained weights, the folder or hub id of a MotionAdapter to put into a plain Stable
            Diffusion pipeline; null where the pipeline's folder holds its own.
    """

    def __init__(
        self,
        pipeline: str,
        components: Description,
        arguments: Mapping[str, Any],
        motion_adapter: str | None,
        *,
        request: Request,
        weights: Weights,
        placement: Placement,
        call_arguments: Mapping[str, Any] = NO_ARGUMENTS,
    ) -> None:
        longest = components["unet"]["config"]["motion_max_seq_length"]
        if request.num_frames is None or request.num_frames > longest:
            raise ConfigError(f"request.num_frames={request.num_frames}: the motion modules take 1 to {longest} frames")
        self.motion_adapter = motion_adapter
        run_time: dict[str, Any] = {"request": request, "weights": weights, "placement": placement}
        super().__init__(pipeline, components, arguments, **run_time, call_arguments=call_arguments)

    def replacements(self, components: Description, placement: Placement) -> dict[str, Any]:
        if self.motion_adapter is None:
            return {}
        try:
            adapter = MotionAdapter.from_pretrained(self.motion_adapter, torch_dtype=placement.dtype)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:300]
            raise ConfigError(
                f"workload motion_adapter={self.motion_adapter}: cannot be loaded as a MotionAdapter: {reason}"
            ) from None
        return {"motion_adapter": adapter}
