"""A stand-in for the module ``pynvml``: a driver with one GPU whose every answer is known."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

UUID = "0123-abcd"


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818 - the library's own spelling
    def __str__(self) -> str:
        return "Not Supported"


class FakeNvml:
    """Answers as nvidia-ml-py does: milliwatts, MHz, bit fields, errors as exceptions.

    Args:
        millijoules: what the energy counter reads, one after another; None: this GPU has no such counter.
        missing: why the driver's library cannot be loaded; None: it can.
    """

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, millijoules: Iterable[int] | None = None, missing: str | None = None) -> None:
        self.millijoules = None if millijoules is None else iter(millijoules)
        self.missing = missing
        self.num_open = 0
        self.reasons = 0x1 | 0x4 | 0x40
        self.process_bytes: int | None = 7_000

    def nvmlInit(self) -> None:
        if self.missing:
            raise NVMLError(self.missing)
        self.num_open += 1

    def nvmlShutdown(self) -> None:
        self.num_open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != f"GPU-{UUID}":
            raise NVMLError("Not Found")
        return "the GPU"

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"GPU number {index}"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        assert self.num_open == 1
        if self.millijoules is None:
            raise NVMLError_NotSupported
        return next(self.millijoules)

    def nvmlDeviceGetClockInfo(self, handle: str, clock: int) -> int:
        return {1: 1980, 2: 3201}[clock]

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return 412_500

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        return 700_000

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:
        raise NVMLError_NotSupported

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return self.reasons

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        others = [SimpleNamespace(pid=1, usedGpuMemory=5)]
        return [*others, SimpleNamespace(pid=os.getpid(), usedGpuMemory=self.process_bytes)]

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"


STATE: dict[str, Any] = {
    "sm_clock_hz": 1_980_000_000,
    "memory_clock_hz": 3_201_000_000,
    "power_w": 412.5,
    "power_limit_w": 700.0,
    "throttle_reasons": ["sw_power_cap", "hw_thermal_slowdown"],
}
"""What `FakeNvml` tells of its GPU; its temperature is not supported."""


def install(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml | None) -> None:
    """Let ``import pynvml`` give the fake; None: let it fail."""
    monkeypatch.setitem(sys.modules, "pynvml", fake)  # pyright: ignore[reportArgumentType]
