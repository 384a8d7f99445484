"""Clocks: marks on a time line, read back after the work they surround.

A GPU runs behind the host, so its clock is events on the stream; they are read only once everything is done, so that no span
pays for a synchronisation.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol


class Clock(Protocol):
    def mark(self) -> Any:
        """A point in time, on the device that does the work."""
        ...

    def synchronize(self) -> None:
        """Wait until all marks have been reached."""
        ...

    def elapsed_s(self, start: Any, end: Any) -> float:
        """Seconds between two marks that have been reached."""
        ...


class HostClock:
    """The host's monotonic clock: for a CPU, whose operators return when they are done."""

    def mark(self) -> int:
        return time.perf_counter_ns()

    def synchronize(self) -> None:
        return

    def elapsed_s(self, start: int, end: int) -> float:
        return (end - start) / 1e9


class CudaClock:
    """Events on the current CUDA stream, about half a microsecond apart at best."""

    def mark(self) -> Any:
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def synchronize(self) -> None:
        import torch

        torch.cuda.synchronize()

    def elapsed_s(self, start: Any, end: Any) -> float:
        return start.elapsed_time(end) / 1e3


@dataclass
class StageSpan:
    """A watcher (`suite.stage`) of the one span of a stage, which knows how long it took."""

    clock: Clock
    stage: str
    _marks: list[Any] = field(default_factory=list)

    def enter(self, name: str) -> None:
        if name == self.stage:
            self._marks.append(self.clock.mark())

    exit = enter

    def seconds(self) -> float:
        """Waits for the device."""
        start, end = self._marks
        self.clock.synchronize()
        return self.clock.elapsed_s(start, end)


def clock_for(device: str) -> Clock:
    return CudaClock() if device == "cuda" else HostClock()
