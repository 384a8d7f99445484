"""What this machine reaches: matrix products and convolutions by number format, copies, and the time to start an operator.

Measured once and kept in the user's cache folder, under what identifies the machine and how torch uses it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from suite.clock import Clock, clock_for
from suite.environment import capture
from suite.errors import ConfigError
from suite.machine import NUMBER_FORMATS, Machine, calibrated
from suite.tensor_cores import ALL_TF32, NO_TF32, allowing_tf32

LEAST_TRIAL_S = 0.05
"""A timed trial repeats its work until it is at least this long."""
SIZES = {"cuda": (8192, 512, 128), "cpu": (1024, 128, 64)}
"""Rows of a square matrix; channels and side of an image: large enough to reach the device's best."""
NUM_TRIALS = 5
"""The best counts: a benchmark asks what a machine can do, and other work only ever adds time."""


def this_machine(device: str = "auto", num_threads: int | None = None, calibration: str | None = None) -> Machine:
    """The machine that this process runs on, from the cache or else measured now.

    Raises:
        ConfigError: what the cache holds cannot be read.
    """
    with _threads(num_threads):
        path = cache_path(_resolved(device))
        if not path.exists():
            sys.stderr.write(f"genscope: measuring this machine, less than a minute; kept as {path}\n")
            measured(device)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Machine)
    except (msgspec.DecodeError, OSError) as error:
        raise ConfigError(f"machine=this: {path} cannot be read ({error}); delete it to measure again") from None
    return calibrated(found, calibration)


def measured(device: str = "auto") -> Machine:
    """Benchmark a device, ``auto``, ``cpu`` or ``cuda``, and keep the result for `this_machine`."""
    device = _resolved(device)
    found, path = benchmark(device), cache_path(device)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    return found


def cache_path(device: str) -> Path:
    """Where the measurement of this machine is kept; another torch or another number of threads is another machine."""
    import torch

    chip = torch.cuda.get_device_properties(0).name if device == "cuda" else None
    identity = [platform.node(), capture("cpu")["cpu"], device, chip, torch.__version__, torch.get_num_threads()]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return root / "genscope" / "machines" / f"{key}.json"


def benchmark(device: str) -> Machine:
    """Measure ``cpu`` or ``cuda`` with synthetic work alone."""
    import torch

    clock = clock_for(device)
    with torch.inference_mode():
        peaks = {name: _peak_flops_per_s(name, device, clock) for name in NUMBER_FORMATS}
        bandwidth, overhead = _bandwidth_bytes_per_s(device, clock), _launch_overhead_s(device, clock)
    environment = capture(device)
    chip = environment["gpu"] if device == "cuda" else environment["cpu"]
    how = f"measured here with torch {torch.__version__}, {torch.get_num_threads()} CPU thread(s)"
    return Machine(
        name=f"this machine ({chip['name']})",
        reported_as=(chip["name"],),
        peak_flops_per_s=peaks,
        bandwidth_bytes_per_s=bandwidth,
        capacity_bytes=chip["memory_bytes"],
        launch_overhead_s=overhead,
        sources=dict.fromkeys(("peak_flops_per_s", "bandwidth_bytes_per_s", "launch_overhead_s"), how)
        | {"capacity_bytes": "told by the system"},
    )


def _peak_flops_per_s(name: str, device: str, clock: Clock) -> float | None:
    """The best of a matrix product and a convolution; None where the machine has a kernel for neither."""
    if name == "tf32" and device != "cuda":
        return None
    size, channels, side = SIZES[device]
    rates = []
    with allowing_tf32(ALL_TF32 if name == "tf32" else NO_TF32):
        for make, flops in (
            (lambda: _product(name, device, size), 2 * size**3),
            (lambda: _convolution(name, device, channels, side), 2 * side**2 * channels**2 * 9),
        ):
            try:
                rates.append(flops / _best_s(make(), clock))
            except (RuntimeError, KeyError):
                continue
    return max(rates, default=None)


def _product(name: str, device: str, size: int) -> Callable[[], Any]:
    """A call that multiplies two square matrices."""
    import torch

    left, right = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
    if name == "int8":
        left, right = left.mul(9).to(torch.int8), right.mul(9).to(torch.int8).t()  # as tensor cores read it
        return lambda: torch._int_mm(left, right)
    if name == "float8":
        one = torch.ones((), device=device)
        left, right = left.to(torch.float8_e4m3fn), right.to(torch.float8_e4m3fn).t()
        return lambda: torch._scaled_mm(left, right, one, one, out_dtype=torch.bfloat16)
    left, right = left.to(_float(name)), right.to(_float(name))
    return lambda: left @ right


def _convolution(name: str, device: str, channels: int, side: int) -> Callable[[], Any]:
    """A call of a 3 x 3 convolution."""
    import torch

    image = torch.rand(1, channels, side, side, device=device).to(_float(name))
    weight = torch.rand(channels, channels, 3, 3, device=device).to(_float(name))
    return lambda: torch.conv2d(image, weight, padding=1)


def _float(name: str) -> Any:
    """torch's type of a format that ordinary operators take; KeyError for the others."""
    import torch

    known = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return known[name]


def _bandwidth_bytes_per_s(device: str, clock: Clock) -> float:
    """The best of a copy (two streams) and a triad (three)."""
    import torch

    count = 2**28 if device == "cuda" else 2**25
    source, other, target = (torch.ones(count, device=device) for _ in range(3))
    copy_s = _best_s(lambda: target.copy_(source), clock)
    triad_s = _best_s(lambda: torch.add(source, other, alpha=2.0, out=target), clock)
    return max(2 * 4 * count / copy_s, 3 * 4 * count / triad_s)


def _launch_overhead_s(device: str, clock: Clock) -> float:
    """Time from one smallest operator to the next."""
    import torch

    value = torch.ones(1, device=device)
    return _best_s(lambda: value.add_(1.0), clock)


def _best_s(work: Callable[[], Any], clock: Clock) -> float:
    """Seconds of one `work`: the least over trials, each of them long enough to be timed."""
    repeats = 1
    while (took := _trial_s(work, repeats, clock)) < LEAST_TRIAL_S:
        repeats = max(2 * repeats, min(int(repeats * LEAST_TRIAL_S / max(took, 1e-9)) + 1, 100 * repeats))
    return min(took, *(_trial_s(work, repeats, clock) for _ in range(NUM_TRIALS - 1))) / repeats


def _trial_s(work: Callable[[], Any], repeats: int, clock: Clock) -> float:
    clock.synchronize()
    start = clock.mark()
    for _ in range(repeats):
        work()
    end = clock.mark()
    clock.synchronize()
    return clock.elapsed_s(start, end)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _resolved(device: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
