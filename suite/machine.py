"""Machines: what a device can do at best, what it draws and what an hour of it costs, each figure with its source.

The files of ``conf/machine`` are machines; adding one is adding a YAML file. A figure that nobody states is None, never a
guess. Needs neither torch nor Hydra: reports price a run on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from suite.errors import ConfigError

NUMBER_FORMATS = ("float32", "tf32", "bfloat16", "float16", "float8", "int8")
PUBLISHED = "published"
"""What `calibration` is for the project's own."""
CALIBRATIONS_FILE = "published_calibrations.json"
RECALLED = "recalled"
"""What a source begins with when nobody has looked the figure up."""
FIGURES = (
    "peak_flops_per_s",
    "bandwidth_bytes_per_s",
    "capacity_bytes",
    "launch_overhead_s",
    "matrix_workspace_bytes",
    "context_bytes",
    "host_bandwidth_bytes_per_s",
    "peer_bandwidth_bytes_per_s",
    "compute_capability",
    "price_per_hour_usd",
    "power_w",
)
"""Fields that need a source where they are known."""
IDENTITY = ("name", "calibration", *FIGURES[:9])
"""Fields that change what a run says; price and power are read by reports alone."""


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """What operators of one class reach of a machine's peak and bandwidth, and what a call costs besides.

    Memory efficiency may pass 1: what fits a cache is read faster than memory can.
    """

    compute: float = 1.0
    memory: float = 1.0
    latency_s: float = 0.0


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Efficiencies that were fitted to measured runs on a machine, and how far off they are on runs they did not see."""

    machine: str
    """Name of the machine that was measured."""
    efficiencies: dict[str, Efficiency]
    """By operator class."""
    runs: list[str]
    """Names of the runs, or ids of the published latencies, that were fitted to."""
    relative_error: float | None = None
    """Median, over what was left out of the fit one at a time, of how far its estimated time is from its measured latency."""
    largest_relative_error: float | None = None
    """The worst of them."""
    launch_overhead_s: float | None = None
    """What the host takes for one operator; None where the efficiencies' latencies hold it."""
    power_share: float | None = None
    """Energy over the board's power times the latency."""
    basis: str | None = None
    """Where the figures come from, if not from runs on this machine alone; a clause."""
    left_out: str | None = None
    """What was left out at a time, and of what; None: measured runs."""
    errors: dict[str, float] = {}
    """Of published latencies on this machine: estimate over measured, less one, by a fit that left their model out."""


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A device, as its vendor states it or as a benchmark measured it."""

    name: str
    reported_as: tuple[str, ...] = ()
    """Names that drivers give this device, by which a measured run is known to have run on it."""
    peak_flops_per_s: dict[str, float | None] = {}
    """Dense peak by number format (`NUMBER_FORMATS`), matrix units included where there are any; a multiply-add is two."""
    bandwidth_bytes_per_s: float | None = None
    """Of the device's memory."""
    capacity_bytes: int | None = None
    """Of the device's memory, as CUDA reports it (``torch.cuda.get_device_properties().total_memory``)."""
    launch_overhead_s: float | None = None
    """Least time from one operator to the next, however small they are."""
    matrix_workspace_bytes: int | None = None
    """Of the device's memory: what torch allocates for its library of matrix products at the first one, and keeps."""
    context_bytes: int | None = None
    """Of the device's memory: what a process takes besides tensors, its CUDA context and the kernels that it loads."""
    host_bandwidth_bytes_per_s: float | None = None
    """From host memory to the device's or back, one way (PCIe, NVLink-C2C)."""
    peer_bandwidth_bytes_per_s: float | None = None
    """Between two devices of this kind in one server, one way; None where they have no link of their own."""
    compute_capability: str | None = None
    """Of NVIDIA's devices, such as ``9.0``: what kernels they can run."""
    family: str | None = None
    """Of the architecture, such as ``hopper``: machines whose chips are alike."""
    price_per_hour_usd: float | None = None
    power_w: float | None = None
    """Board power that the vendor states: the most that is drawn for long."""
    sources: dict[str, str] = {}
    """Where each of `FIGURES` was read; begins with `RECALLED` where it was not looked up."""
    calibration: Calibration | None = None
    """None: estimates are the roofline itself."""

    def __post_init__(self) -> None:
        unknown = set(self.peak_flops_per_s) - set(NUMBER_FORMATS)
        if unknown:
            raise ValueError(
                f"peak_flops_per_s names {sorted(unknown)}; number formats are {', '.join(NUMBER_FORMATS)}"
            )
        stated = [*self.peak_flops_per_s.values(), *(getattr(self, name) for name in FIGURES[1:])]
        if any(number <= 0 for number in stated if isinstance(number, int | float)):
            raise ValueError("a figure is above 0, or null where it is not known")

    @property
    def usable_bytes(self) -> int | None:
        """What the device's memory leaves to tensors: all that CUDA reports, less a process's context as far as it is known."""
        return None if self.capacity_bytes is None else self.capacity_bytes - (self.context_bytes or 0)

    def ridge(self, number_format: str) -> float | None:
        """FLOP per byte above which arithmetic, not memory, is the limit."""
        peak = self.peak_flops_per_s.get(number_format)
        return peak / self.bandwidth_bytes_per_s if peak and self.bandwidth_bytes_per_s else None

    def is_recalled(self, figure: str) -> bool:
        """Whether a figure was written from memory, so that it is to be called reported, not verified."""
        return self.sources.get(figure, "").startswith(RECALLED)

    def identity(self) -> dict[str, Any]:
        """What makes estimates on two machines the same."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name in IDENTITY}


def machine(
    *,
    name: Any,
    reported_as: Any,
    peak_flops_per_s: Any,
    bandwidth_bytes_per_s: Any,
    capacity_bytes: Any,
    launch_overhead_s: Any,
    matrix_workspace_bytes: Any,
    context_bytes: Any,
    host_bandwidth_bytes_per_s: Any,
    peer_bandwidth_bytes_per_s: Any,
    compute_capability: Any,
    family: Any,
    price_per_hour_usd: Any,
    power_w: Any,
    sources: Any,
    calibration: str | None,
) -> Machine:
    """A machine from a YAML node, which writes null for what it does not know.

    `calibration` is a file that ``python -m suite.simulation calibrate`` wrote, `PUBLISHED` for the project's own, null for the
    roofline; the rest are fields of `Machine`.

    Raises:
        ConfigError: a figure of a wrong type or size, or a calibration that is none of this machine.
    """
    given = locals()
    figures = {field: given[field] for field in Machine.__struct_fields__ if field != "calibration"}
    try:
        found = msgspec.convert(figures, Machine)
    except ValueError as error:
        raise ConfigError(f"machine={name}: {error}") from None
    return calibrated(found, calibration)


def calibrated(found: Machine, path: str | None) -> Machine:
    """A machine with the calibration in a file; the machine as it is for None.

    Raises:
        ConfigError: the file cannot be read, or was made on another machine.
    """
    if path is None:
        return found
    if path == PUBLISHED:
        return msgspec.structs.replace(found, calibration=published_calibrations().get(found.name))
    try:
        calibration = msgspec.json.decode(Path(path).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"machine.calibration={path}: not a calibration ({error})") from None
    if calibration.machine != found.name:
        raise ConfigError(f"machine.calibration={path}: made on {calibration.machine}, and not on {found.name}")
    return msgspec.structs.replace(found, calibration=calibration)


@cache
def published_calibrations() -> Mapping[str, Calibration]:
    """Those of the project by machine, fitted to published latencies (``python -m suite.simulation calibrate --published``)."""
    document = files("suite").joinpath(CALIBRATIONS_FILE).read_bytes()
    return msgspec.json.decode(document, type=dict[str, Calibration])


def machines() -> Mapping[str, Machine]:
    """Every machine of ``conf/machine`` with figures of its own, by the word that chooses it."""
    import yaml

    loader = getattr(
        yaml, "CSafeLoader", yaml.SafeLoader
    )  # libyaml's, four times as fast, wherever PyYAML comes with it
    found = {}
    for path in sorted(files("conf").joinpath("machine").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yaml"):
            node = yaml.load(path.read_text(), Loader=loader)
            if node.pop("_target_") == f"{__name__}.{machine.__name__}":
                found[path.name.removesuffix(".yaml")] = machine(**node)
    return found
