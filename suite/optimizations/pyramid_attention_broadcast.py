"""Pyramid Attention Broadcast: what attention gave is given again in the next steps (Zhao et al. 2024, arXiv 2408.12588).

By diffusers' hooks. These count calls, not steps: where a pipeline calls its denoiser twice a step, with and without the
condition, every call would get what the other one left. There the run is unsupported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.diffusers_hooks import Timesteps, hooked
from suite.workload import Workload


@dataclass(frozen=True)
class PyramidAttentionBroadcast:
    """Compute attention once in so many steps.

    Args:
        spatial_range, temporal_range, cross_range: steps that one computation of such attention serves.
        timesteps: lower and upper bound of the scheduler's timesteps between which attention is skipped.
    """

    spatial_range: int
    temporal_range: int
    cross_range: int
    timesteps: Sequence[float]
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for key in ("spatial_range", "temporal_range", "cross_range"):
            if getattr(self, key) < 1:
                raise ConfigError(f"pyramid_attention_broadcast.{key}={getattr(self, key)}: at least 1 is needed")

    def apply(self, workload: Workload) -> Handle:
        from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast

        now = Timesteps(workload)
        low, high = self.timesteps
        config = PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=self.spatial_range,
            temporal_attention_block_skip_range=self.temporal_range,
            cross_attention_block_skip_range=self.cross_range,
            spatial_attention_timestep_skip_range=(low, high),  # type: ignore[arg-type] - annotated as whole numbers
            temporal_attention_timestep_skip_range=(low, high),  # type: ignore[arg-type]
            cross_attention_timestep_skip_range=(low, high),  # type: ignore[arg-type]
            current_timestep_callback=now,  # type: ignore[arg-type]
        )
        return hooked(
            workload,
            "Pyramid Attention Broadcast",
            lambda denoiser: apply_pyramid_attention_broadcast(denoiser, config),
            transformers_only=False,
            timesteps=now,
        )
