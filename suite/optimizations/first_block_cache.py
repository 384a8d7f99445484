"""First Block Cache: where the first block changes its input as it did before, the others are taken from before.

By diffusers' hooks (chengzeyi/ParaAttention). Whether a step is skipped depends on values: a simulation cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.optimizations.contract import Handle
from suite.optimizations.diffusers_hooks import hooked
from suite.workload import UnsupportedError, Workload, has_values


@dataclass(frozen=True)
class FirstBlockCache:
    """Skip all blocks but the first.

    Args:
        threshold: relative change of what the first block adds, below which the other blocks are skipped.
    """

    threshold: float
    exact: ClassVar[bool] = False

    def apply(self, workload: Workload) -> Handle:
        from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache

        config = FirstBlockCacheConfig(threshold=self.threshold)
        handle = hooked(
            workload, "First Block Cache", lambda denoiser: apply_first_block_cache(denoiser, config), contexts=True
        )
        if not has_values(workload):
            handle.revert()
            raise UnsupportedError("First Block Cache looks at values, which a simulation does not have")
        return handle
