"""MagCache: steps are skipped while what the blocks add keeps its magnitude (Ma et al. 2025, arXiv 2506.09045).

By diffusers' hooks. How magnitudes fall from step to step is measured on the model, once, by one generation in full.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from suite.optimizations.contract import Handle
from suite.optimizations.diffusers_hooks import hooked
from suite.stage import STEP_STAGES, stage, watched_by
from suite.workload import NotApplicableError, UnsupportedError, Workload, has_values


@dataclass(frozen=True)
class MagCache:
    """Skip all blocks in some steps.

    Args:
        threshold: accumulated error up to which steps are skipped.
        max_skipped_steps: in a row.
        first_full_fraction: of the steps, which run in full before any is skipped.
    """

    threshold: float
    max_skipped_steps: int
    first_full_fraction: float
    exact: ClassVar[bool] = False
    _ratios: WeakKeyDictionary[Workload, list[float]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def apply(self, workload: Workload) -> Handle:
        num_steps = workload.request.num_inference_steps
        if num_steps is None:
            raise NotApplicableError("the workload has no denoising steps")
        if workload not in self._ratios:
            self._ratios[workload] = self._measured(workload, num_steps)
        return self._put_on(workload, num_inference_steps=num_steps, mag_ratios=self._ratios[workload])

    def _put_on(self, workload: Workload, **settings: Any) -> Handle:
        from diffusers.hooks import MagCacheConfig, apply_mag_cache

        config = MagCacheConfig(
            threshold=self.threshold,
            max_skip_steps=self.max_skipped_steps,
            retention_ratio=self.first_full_fraction,
            **settings,
        )
        return hooked(workload, "MagCache", lambda denoiser: apply_mag_cache(denoiser, config), contexts=True)

    def _measured(self, workload: Workload, num_steps: int) -> list[float]:
        """Magnitude of what the blocks add, relative to the step before, for each step."""
        # One step more than there are: at the last one diffusers would print what it found and forget it.
        handle = self._put_on(workload, num_inference_steps=num_steps + 1, calibrate=True)
        try:
            if not has_values(workload):
                raise UnsupportedError("MagCache measures magnitudes first, and a simulation has no values")
            ratios = _Ratios(workload)
            with watched_by([ratios]), stage("generate"):
                workload.generate()
        finally:
            handle.revert()
        return ratios.found


class _Ratios:
    """A watcher that reads what diffusers' hooks have measured before the pipeline makes them forget it."""

    def __init__(self, workload: Workload) -> None:
        self.found: list[float] = []
        self._denoiser = workload.parts["denoiser"]

    def enter(self, name: str) -> None:
        del name

    def exit(self, name: str) -> None:
        if name in STEP_STAGES:
            self.found = max(self._lists(), key=len, default=[]).copy()

    def _lists(self) -> list[list[float]]:
        registries = [vars(module).get("_diffusers_hook") for module in self._denoiser.modules()]
        hooks = [hook for registry in registries if registry is not None for hook in registry.hooks.values()]
        states = [state for hook in hooks for state in hook.state_manager._state_cache.values()]
        return [state.calibration_ratios for state in states]
