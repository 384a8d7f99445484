"""TaylorSeer: what attention gives is extrapolated from earlier steps (Liu et al. 2025, arXiv 2503.06923).

By diffusers' hooks, which it puts on models whose blocks are named as it expects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.diffusers_hooks import hooked
from suite.workload import PRECISIONS, Workload


@dataclass(frozen=True)
class TaylorSeer:
    """Compute attention once in so many steps and extrapolate it in the others.

    Args:
        cache_interval: steps between two full ones.
        first_full_steps: that run in full before extrapolation begins.
        max_order: of the Taylor series.
        precision: of the series' terms.
    """

    cache_interval: int
    first_full_steps: int
    max_order: int
    precision: str
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"taylorseer.precision={self.precision}: one of {', '.join(PRECISIONS)} is accepted")

    def apply(self, workload: Workload) -> Handle:
        import torch
        from diffusers.hooks import TaylorSeerCacheConfig, apply_taylorseer_cache

        config = TaylorSeerCacheConfig(
            cache_interval=self.cache_interval,
            disable_cache_before_step=self.first_full_steps,
            max_order=self.max_order,
            taylor_factors_dtype=getattr(torch, self.precision),
        )
        return hooked(workload, "TaylorSeer", lambda denoiser: apply_taylorseer_cache(denoiser, config), contexts=True)
