"""DeepCache: some steps run the U-Net's shallowest branch only (Ma et al. 2023, arXiv 2312.00858)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.workload import NotApplicableError, Workload


@dataclass(frozen=True)
class DeepCache:
    """Between full steps, run the first convolution and the last layer of the last up block, on features of the last full step.

    This is the paper's uniform schedule at its cache branch 0; the U-Net's other branches are not offered.

    Args:
        interval: from one full step to the next.
    """

    interval: int
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.interval < 2:
            raise ConfigError(f"deepcache.interval={self.interval}: a whole number of at least 2 is needed")

    def apply(self, workload: Workload) -> Handle:
        from suite.optimizations.rehash.install import require_unet, reuse_between_steps
        from suite.optimizations.rehash.schedules import KeySteps

        require_unet(workload)
        num_steps = workload.request.num_inference_steps
        if num_steps == 1:
            raise NotApplicableError("there is a single step, which is a full one (request.num_inference_steps=1)")
        handle = Handle("")
        schedule = KeySteps(lambda num_steps: range(0, num_steps, self.interval))
        reused = reuse_between_steps(workload, "last_layer", schedule, handle.undo)
        handle.changes = f"one step in {self.interval} runs in full; others reuse {reused}"
        return handle
