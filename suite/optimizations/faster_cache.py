"""FasterCache: attention from before, and guidance's unconditional half estimated (Lv et al. 2024, arXiv 2410.19355).

By diffusers' hooks, which take latents of a few layouts, and guidance as one call on twice the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from suite.optimizations.contract import Handle
from suite.optimizations.diffusers_hooks import Timesteps, hooked
from suite.workload import NotApplicableError, Workload

LAYOUTS = {
    "AllegroTransformer3DModel": "BCFHW",
    "CogVideoXTransformer3DModel": "BFCHW",
    "LatteTransformer3DModel": "BCFHW",
    "MochiTransformer3DModel": "BCFHW",
}
"""Models that get both halves of guidance in one call, and the layout of their latents."""
DISTILLED = ("FluxTransformer2DModel", "HunyuanVideoTransformer3DModel")
"""Models whose guidance is an input: they have no unconditional half."""


@dataclass(frozen=True)
class FasterCache:
    """Compute attention once in so many steps, and the unconditional half once in more.

    Args:
        attention_range: steps that one computation of attention serves.
        unconditional_range: steps that one computation of the unconditional half serves.
        attention_timesteps, unconditional_timesteps: bounds of the scheduler's timesteps between which these are skipped.
        weight: of the extrapolation of attention from the last two computations.
    """

    attention_range: int
    unconditional_range: int
    attention_timesteps: Sequence[float]
    unconditional_timesteps: Sequence[float]
    weight: float
    exact: ClassVar[bool] = False

    def apply(self, workload: Workload) -> Handle:
        from diffusers.hooks import FasterCacheConfig, apply_faster_cache

        kind = type(workload.parts["denoiser"]).__name__
        if kind not in LAYOUTS and kind not in DISTILLED:
            raise NotApplicableError(
                f"diffusers' FasterCache does not fit a {kind}, by its latents or by how it is guided"
            )
        now = Timesteps(workload)
        config: Any = FasterCacheConfig(
            spatial_attention_block_skip_range=self.attention_range,
            spatial_attention_timestep_skip_range=tuple(self.attention_timesteps),  # type: ignore[arg-type]
            unconditional_batch_skip_range=self.unconditional_range,
            unconditional_batch_timestep_skip_range=tuple(self.unconditional_timesteps),  # type: ignore[arg-type]
            attention_weight_callback=lambda module: self.weight,
            current_timestep_callback=now,  # type: ignore[arg-type]
            tensor_format=LAYOUTS.get(kind, "BCFHW"),
            is_guidance_distilled=kind in DISTILLED or not workload.request.guided,
        )
        return hooked(workload, "FasterCache", lambda denoiser: apply_faster_cache(denoiser, config), timesteps=now)
