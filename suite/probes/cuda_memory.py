"""Memory of a generation on a GPU: the caching allocator's counters at the edges of stages, and NVML's view of the process.

The allocator's peak counters are reset whenever a stage begins or ends, so every stretch between two edges has a peak of its
own; a stage's peak is the largest of the stretches that it covers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from suite.record_tables import TABLES
from suite.stage import DENOISER_FORWARD, STEP_STAGES


@dataclass(frozen=True)
class _Edge:
    """What was seen at a stage's edge, and the peaks since the edge before."""

    t_s: float
    stages: tuple[str, ...]
    step: int | None
    allocated: int
    reserved: int
    peak_allocated: int
    peak_reserved: int
    retries: int
    """Since the edge before."""
    device: int | None


@dataclass
class CudaMemory:
    """A watcher that reads the allocator at every edge.

    Args:
        weights_bytes: held by the workload's parts, told apart from activations; None where they are not held all the time.
        device_bytes: tells what the process holds on the device, or None where nobody knows.
    """

    weights_bytes: int | None
    device_bytes: Callable[[], int | None]
    _open: list[str] = field(default_factory=list)
    _edges: list[_Edge] = field(default_factory=list)
    _steps: dict[str, int] = field(default_factory=dict)
    _start: float = 0.0
    _retries: int = 0

    def enter(self, name: str) -> None:
        if not self._open:
            self._begin()
        else:
            self._note()
        self._open.append(name)
        if name in STEP_STAGES:
            self._steps[name] = self._steps.get(name, -1) + 1

    def exit(self, name: str) -> None:
        self._note()
        self._open.pop()

    def _begin(self) -> None:
        import torch

        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # segments that other arms or earlier runs left would count as reserved by this generation
        torch.cuda.reset_peak_memory_stats()
        self._retries = torch.cuda.memory_stats()["num_alloc_retries"]
        self._start = time.perf_counter()

    def _note(self) -> None:
        """Close the stretch since the last edge: its peaks belong to the stages that were open during it."""
        import torch

        stats = torch.cuda.memory_stats()
        stages = tuple(name for name in self._open if name != DENOISER_FORWARD)
        step = next((self._steps[name] for name in reversed(stages) if name in STEP_STAGES), None)
        self._edges.append(
            _Edge(
                t_s=time.perf_counter() - self._start,
                stages=stages,
                step=step,
                allocated=stats["allocated_bytes.all.current"],
                reserved=stats["reserved_bytes.all.current"],
                peak_allocated=stats["allocated_bytes.all.peak"],
                peak_reserved=stats["reserved_bytes.all.peak"],
                retries=stats["num_alloc_retries"] - self._retries,
                device=self.device_bytes(),
            )
        )
        self._retries = stats["num_alloc_retries"]
        torch.cuda.reset_peak_memory_stats()

    def tables(self) -> dict[str, pa.Table]:
        """The time line (each stretch's peak at its end) and the stages' peaks."""
        timeline = [
            {
                "t_s": edge.t_s,
                "stage": edge.stages[-1],
                "step": edge.step,
                "allocated_bytes": edge.peak_allocated,
                "reserved_bytes": edge.peak_reserved,
                "device_bytes": edge.device,
            }
            for edge in self._edges
        ]
        return {
            "memory": pa.Table.from_pylist(timeline, schema=TABLES["memory"]),
            "memory_peaks": pa.Table.from_pylist(self._peaks(), schema=TABLES["memory_peaks"]),
        }

    def _peaks(self) -> list[dict[str, object]]:
        rows = []
        for stage in dict.fromkeys(name for edge in self._edges for name in edge.stages):
            covered = [edge for edge in self._edges if stage in edge.stages]
            device = [edge.device for edge in covered if edge.device is not None]
            allocated = max(edge.peak_allocated for edge in covered)
            rows.append(
                {
                    "stage": stage,
                    "weights_bytes": self.weights_bytes,
                    "activations_bytes": None if self.weights_bytes is None else allocated - self.weights_bytes,
                    "allocated_bytes": allocated,
                    "reserved_bytes": max(edge.peak_reserved for edge in covered),
                    "num_alloc_retries": sum(edge.retries for edge in covered),
                    "device_bytes": max(device) if device else None,
                }
            )
        return rows
