"""Memory: what is allocated, reserved and held by the process over one generation, and each stage's peak.

On a CPU, allocated bytes come from the profiler's memory events and resident bytes from the operating system. On a GPU,
allocated and reserved bytes are the caching allocator's own counters, reset at every stage's edge, and device bytes are what
NVML says this process holds. What a machine cannot tell stays null.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from suite import nvml
from suite.attribution.kineto import attribute
from suite.attribution.scopes import StageScopes
from suite.attribution.trace import read_trace
from suite.environment import gpu_uuid
from suite.errors import UnavailableError
from suite.probes.contract import Observation
from suite.probes.cuda_memory import CudaMemory
from suite.profiling import profiled
from suite.record import ProbeCost
from suite.record_tables import TABLES
from suite.stage import watched_by
from suite.subject import STACK, Subject
from suite.workload import storage_bytes

SAMPLING_S = 0.005


@dataclass(frozen=True)
class Memory:
    """Time line and stage peaks of the run's own arm, over one generation of its own."""

    def observe(self, subject: Subject) -> Observation:
        subject.say("memory, a pass of its own")
        cuda = subject.workload.placement.device == "cuda"
        with subject.configured(STACK):
            tables, watched_s = _observe_cuda(subject) if cuda else _observe_cpu(subject)
        return Observation(tables=tables, cost=ProbeCost(probe="memory", watched_s=watched_s))


def _observe_cuda(subject: Subject) -> tuple[dict[str, pa.Table], float]:
    with ExitStack() as stack:
        try:
            device_bytes = stack.enter_context(nvml.opened(gpu_uuid())).process_bytes
        except UnavailableError:
            device_bytes = _unknown
        workload = subject.workload
        # Of weights that travel, what is on the device changes from moment to moment.
        weights = storage_bytes(workload.parts.values()) if workload.offload is None else None
        watcher = CudaMemory(weights, device_bytes)
        watched_s = subject.timed_generation([watcher])
    return watcher.tables(), watched_s


def _unknown() -> None:
    """Device memory where there is no NVML."""


def _observe_cpu(subject: Subject) -> tuple[dict[str, pa.Table], float]:
    path = subject.scratch / "memory.pt.trace.json"
    resident = ResidentMemory()
    stages = StageWindows(resident.sample)
    with profiled("cpu", path, profile_memory=True), watched_by([StageScopes(), stages]), resident.sampled():
        watched_s = subject.timed_generation()
    found = attribute(read_trace(path), weights_bytes=storage_bytes(subject.workload.parts.values()))
    path.unlink()
    assert found.memory is not None, "the profiler was asked for memory events"
    assert found.memory_peaks is not None, "the profiler was asked for memory events"
    tables = {
        "memory": pa.concat_tables([found.memory, resident.timeline(stages)]).sort_by("t_s"),
        "memory_peaks": with_resident_peaks(found.memory_peaks, resident, stages),
    }
    return tables, watched_s


@dataclass
class StageWindows:
    """A watcher that keeps when each stage was open, on the host's clock.

    Args:
        at_edge: called inside every span at its edges, so that not even the shortest goes without a sample.
    """

    at_edge: Callable[[], None] = lambda: None
    spans: list[tuple[str, float, float]] = field(default_factory=list)
    _open: list[tuple[str, float]] = field(default_factory=list)

    def enter(self, name: str) -> None:
        self._open.append((name, time.perf_counter()))
        self.at_edge()

    def exit(self, name: str) -> None:
        self.at_edge()
        opened, start = self._open.pop()
        self.spans.append((opened, start, time.perf_counter()))

    @property
    def origin(self) -> float:
        """When the generation began."""
        return min(start for _, start, _ in self.spans)


class ResidentMemory:
    """Samples the process's resident set from a thread of its own, every `SAMPLING_S`."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.bytes: list[int] = []
        self._lock = threading.Lock()

    def sample(self) -> None:
        """Note the resident set now."""
        import psutil

        size = psutil.Process().memory_info().rss
        with self._lock:
            self.times.append(time.perf_counter())
            self.bytes.append(size)

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample all through this block."""
        done = threading.Event()

        def keep_sampling() -> None:
            while True:
                self.sample()
                if done.wait(SAMPLING_S):
                    return

        thread = threading.Thread(target=keep_sampling, name="genscope-resident-memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def peak(self, windows: list[tuple[float, float]]) -> int | None:
        """Largest sample inside any of the windows; None where no sample fell into one."""
        times, sizes = np.array(self.times), np.array(self.bytes)
        inside = np.zeros(len(times), dtype=bool)
        for start, end in windows:
            inside |= (times >= start) & (times <= end)
        return int(sizes[inside].max()) if inside.any() else None

    def timeline(self, stages: StageWindows) -> pa.Table:
        """Samples that fell into the generation, as rows of the memory table."""
        rows = [
            {"t_s": moment - stages.origin, "resident_bytes": size}
            for moment, size in zip(self.times, self.bytes, strict=True)
            if moment >= stages.origin
        ]
        return pa.Table.from_pylist(rows, schema=TABLES["memory"])


def with_resident_peaks(peaks: pa.Table, resident: ResidentMemory, stages: StageWindows) -> pa.Table:
    """The stage peaks with the resident set's largest sample in each stage filled in."""
    found: list[Any] = []
    for stage in peaks.column("stage").to_pylist():
        windows = [(start, end) for name, start, end in stages.spans if name == stage]
        found.append(resident.peak(windows))
    index = peaks.schema.get_field_index("resident_bytes")
    return peaks.set_column(index, "resident_bytes", pa.array(found, pa.int64()))
