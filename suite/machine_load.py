"""How busy the machine is with other work, by the kernel's own counters.

    state now: load average, CPU pressure, clocks      counters --two readings--> what happened between them

Linux tells them in files that cost some ten microseconds to read, so they are read around every trial and disturb none. Where
there is no such file (another system, a kernel without it) a value is None, never guessed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from suite import nvml
from suite.errors import UnavailableError
from suite.record import DeviceState, MachineState

PROC, CPUS = Path("/proc"), Path("/sys/devices/system/cpu")


@dataclass(frozen=True, slots=True)
class Counters:
    """Seconds since some moment that stays the same, of one reading. None: not told here."""

    at_s: float
    waited_s: float | None
    """In which threads of this process were ready to run and had no core, summed over threads."""
    others_s: float | None
    """Of cores, spent on other processes or taken by a hypervisor."""


def read(proc: Path = PROC) -> Counters:
    """The counters now."""
    own = os.times()
    busy = _told(lambda: _busy_s(proc))
    others = None if busy is None else busy - own.user - own.system
    return Counters(time.monotonic(), _told(lambda: _waited_s(proc)), others)


def between(before: Counters, after: Counters) -> dict[str, float]:
    """What happened between two readings, by metric; what is not told is left out.

    ``core_wait_s``: seconds in which threads of this process were ready and had no core, summed over threads.
    ``others_cores``: how many cores other work kept busy on average. Processor time is counted in ticks of 10 ms.
    """
    found = {}
    if before.waited_s is not None and after.waited_s is not None:
        found["core_wait_s"] = max(after.waited_s - before.waited_s, 0.0)
    span_s = after.at_s - before.at_s
    if before.others_s is not None and after.others_s is not None and span_s > 0:
        found["others_cores"] = max(after.others_s - before.others_s, 0.0) / span_s
    return found


def state(device: str, gpu_uuid: str | None = None, proc: Path = PROC, cpus: Path = CPUS) -> MachineState:
    """What the machine says of its load now, and its GPU where `device` is ``cuda``."""
    return MachineState(
        load_average=_told(lambda: float((proc / "loadavg").read_text().split()[0])),
        cpu_pressure=_told(lambda: _pressure(proc)),
        cpu_clock_hz=_told(lambda: _clock_hz(cpus)),
        gpu=_gpu(gpu_uuid) if device == "cuda" else None,
    )


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _told(reading: Callable[[], float]) -> float | None:
    """What a file says, or None: it is missing, closed to us, or reads differently here."""
    try:
        return reading()
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _waited_s(proc: Path) -> float:
    """Second field of schedstat of every thread: nanoseconds on a run queue (Documentation/scheduler/sched-stats.rst)."""
    waited_ns = 0
    for thread in (proc / "self" / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended since
            waited_ns += int((thread / "schedstat").read_text().split()[1])
    return waited_ns / 1e9


def _busy_s(proc: Path) -> float:
    """Seconds of all cores that were neither idle nor waiting for a disk (proc(5), /proc/stat: user, nice, system, idle,
    iowait, irq, softirq, steal; guests are in user already)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, (proc / "stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _pressure(proc: Path) -> float:
    """Share of the last ten seconds in which some thread waited for a core (Documentation/accounting/psi.rst)."""
    words = (proc / "pressure" / "cpu").read_text().split("\n", 1)[0].split()
    return float(next(word for word in words if word.startswith("avg10=")).removeprefix("avg10=")) / 100


def _clock_hz(cpus: Path) -> float:
    """Mean over cores."""
    clocks = [int(path.read_text()) * 1000.0 for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
    if not clocks:
        raise FileNotFoundError("no core tells its clock")
    return sum(clocks) / len(clocks)


def _gpu(uuid: str | None) -> DeviceState | None:
    try:
        with nvml.opened(uuid) as gpu:
            return msgspec.convert(gpu.state(), DeviceState)
    except UnavailableError:
        return None
