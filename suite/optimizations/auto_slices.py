"""As few slices as a memory budget allows, found by simulation (`suite.planner`) before the run begins.

Streamlined Inference picks its numbers of slices by "detailed profiling"; a simulated peak takes seconds and no device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from suite.errors import ConfigError
from suite.optimizations.contract import Handle
from suite.optimizations.operator_grouping import OperatorGrouping
from suite.workload import UnsupportedError, Workload

COUNTERS = ("allocated", "reserved")


@dataclass(frozen=True)
class AutoSlices:
    """Stands for operator grouping until the planner has put the slices in its place.

    Args:
        memory_budget_gib: peak that the run may have, in GiB; null: what the run's machine has.
        counter: ``allocated`` bytes of live tensors or ``reserved`` bytes of the CUDA caching allocator's model.
        max_slices: most slices that are tried.
        recompute_first_temporal_convolution: see `OperatorGrouping`.
    """

    memory_budget_gib: float | None
    counter: str
    max_slices: int
    recompute_first_temporal_convolution: bool
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.memory_budget_gib is not None and self.memory_budget_gib <= 0:
            raise ConfigError(f"memory_budget_gib={self.memory_budget_gib}: a number above 0, or null, is needed")
        if self.counter not in COUNTERS:
            raise ConfigError(f"counter={self.counter}: one of {', '.join(COUNTERS)} is accepted")
        if self.max_slices < 2:
            raise ConfigError(f"max_slices={self.max_slices}: a whole number of at least 2 is needed")

    def grouping(self, num_slices: int) -> OperatorGrouping:
        """Groups of so many slices along every axis; guidance's two halves are apart as soon as anything is."""
        return OperatorGrouping(
            batch_slices=min(num_slices, 2),
            frame_slices=num_slices,
            pixel_slices=num_slices,
            token_slices=num_slices,
            smallest_slice=1,
            recompute_first_temporal_convolution=self.recompute_first_temporal_convolution,
            num_streams=1,
        )

    def apply(self, workload: Workload) -> Handle:
        raise UnsupportedError("auto_slices is planned before a run and cannot be put on a workload by itself")


@dataclass(frozen=True)
class PlannedSlices:
    """What a plan came to: groups of the slices that were found, or nothing where the run fits as it is."""

    grouping: OperatorGrouping | None
    plan: str
    """One sentence: what was found."""
    exact: ClassVar[bool] = True

    def apply(self, workload: Workload) -> Handle:
        handle = Handle(self.plan, plan=self.plan)
        if self.grouping is not None:
            inner = self.grouping.apply(workload)
            handle.changes = f"{self.plan}; {inner.changes}"
            handle.on_revert(inner.revert)
        return handle
