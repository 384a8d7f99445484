"""NVML, the NVIDIA driver's own counters: the state of a GPU and the energy that it has drawn, through nvidia-ml-py.

The GPU is the one that torch runs on, found by its UUID: NVML numbers devices in another order, and knows nothing of
CUDA_VISIBLE_DEVICES. What the driver withholds is left out of a state, never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from suite.errors import UnavailableError

THROTTLE_REASONS = {
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake",
    0x100: "display_clock_setting",
}
"""Bits of nvmlClocksEventReasons in nvml.h; 0x1 is an idle GPU, which is no throttling."""


@contextmanager
def opened(uuid: str | None) -> Iterator[Gpu]:
    """NVML's view of one GPU while this block runs; of the first where torch tells no UUID.

    Raises:
        UnavailableError: there is no NVML here, or it does not know that GPU (a MIG slice, for one).
    """
    try:
        import pynvml
    except ImportError as error:
        raise UnavailableError("nvidia-ml-py is not installed") from error

    with _in_words():
        pynvml.nvmlInit()
    try:
        with _in_words():
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") if uuid else pynvml.nvmlDeviceGetHandleByIndex(0)
        yield Gpu(handle)
    finally:
        pynvml.nvmlShutdown()


@dataclass(frozen=True)
class Gpu:
    """One GPU of an open NVML."""

    handle: Any
    covers: str = "gpu_board"

    def energy_j(self) -> float:
        """Joules that the whole board has drawn since the driver was loaded, idle or not; Volta and later.

        The driver counts millijoules and renews the count every 20 to 100 ms.

        Raises:
            UnavailableError: this GPU does not count them.
        """
        import pynvml

        with _in_words():
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000

    def state(self) -> dict[str, Any]:
        """Clocks (Hz), power now and its cap (W), temperature (Celsius) and throttle reasons, as far as they are told."""
        import pynvml

        handle = self.handle
        return _answers(
            {
                "sm_clock_hz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * 1_000_000,
                "memory_clock_hz": lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM) * 1_000_000,
                "power_w": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
                "power_limit_w": lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,
                "temperature_c": lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
                "throttle_reasons": lambda: _words(pynvml.nvmlDeviceGetCurrentClocksEventReasons(handle)),
            }
        )

    def process_bytes(self) -> int | None:
        """What this process holds on the GPU, the context included; None where the driver does not tell.

        A container with process ids of its own is such a case: the driver knows the host's.
        """
        import pynvml

        try:
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(self.handle)
        except pynvml.NVMLError:
            return None
        return next((process.usedGpuMemory for process in processes if process.pid == os.getpid()), None)

    def driver(self) -> dict[str, Any]:
        """The driver's version, if it tells."""
        import pynvml

        return _answers({"driver": pynvml.nvmlSystemGetDriverVersion})


def _answers(queries: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    import pynvml

    found = {}
    for key, query in queries.items():
        try:
            found[key] = query()
        except pynvml.NVMLError:
            continue
    return found


def _words(bits: int) -> list[str]:
    return [word for bit, word in THROTTLE_REASONS.items() if bits & bit]


@contextmanager
def _in_words() -> Iterator[None]:
    """NVML's errors as one of ours, so that nobody else needs to know its classes."""
    import pynvml

    try:
        yield
    except pynvml.NVMLError as error:
        raise UnavailableError(str(error)) from error
