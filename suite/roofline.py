"""Time estimates: the roofline of every row of an operator table, on a machine that need not be here.

    kernel = max(FLOPs / (peak * compute efficiency), bytes / (bandwidth * memory efficiency))
    device = kernel + temporaries / (bandwidth * memory efficiency) + calls * latency
    time   = device + its share of what a stage's host takes longer than the stage's device

With efficiencies of 1, no latency and no temporaries this bounds the time from below (Williams et al. 2009, doi
10.1145/1498765.1498785, for every operator by itself, nothing kept in a cache between two). A calibration
(`suite.calibration`, `suite.latency_fit`) puts in what a machine really reaches. The host launches ahead of the device, so
what it takes counts by stage: where its launches take longer than all the stage's kernels, the device waits for it, and the
rows whose kernels are shorter than their launches share that wait. Copies between host and device move at the link's
bandwidth; those on a stream of their own take only what they take longer than their stage's kernels. Needs neither torch nor
Hydra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from suite.attribution.taxonomy import HOST_LINK, HOST_TO_DEVICE_OVERLAPPED
from suite.machine import Efficiency, Machine
from suite.tensor_cores import NO_TF32, Tf32

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

MATRIX_CLASSES = frozenset({"convolution", "linear", "attention"})
"""Classes that matrix units compute; all others are bound by memory."""
PRODUCTS = frozenset({"aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm"})
"""Attention that is written out is made of these, and they reach what a linear layer's do."""
BOUNDS = ("compute", "memory", "launch", "link")
"""What a row can be limited by; the last is the link between host and device."""
WORK = ("operator", "operator_class", "precision", "calls", "flops", "bytes_read", "bytes_written")
COLUMNS = ("stage", *WORK, "tile_flops", "copied_bytes")
"""Columns of an operator table that an estimate needs."""


@dataclass(frozen=True)
class Demands:
    """What rows need of a machine at its peaks, in seconds; NaN where it is not known."""

    arithmetic_s: Floats
    """FLOPs over the peak for the row's number format."""
    transfer_s: Floats
    """Bytes over the bandwidth."""
    copies_s: Floats
    """Temporaries, written and read, over the bandwidth."""
    link_s: Floats
    """Bytes between host and device over that link's bandwidth."""
    is_overlapped: npt.NDArray[np.bool_]
    """Whether such a copy is on a stream of its own."""
    calls: Floats
    kinds: Codes
    """Whose efficiency counts: an index into `names`."""
    names: Sequence[str]
    stages: Codes


@dataclass(frozen=True)
class Estimate:
    """Of every row: seconds (NaN where they cannot be known), those of them in which the device waits for the host, and what
    limits the rest, an index into `BOUNDS`."""

    seconds: Floats
    waiting: Floats
    limit: npt.NDArray[np.int8]

    @property
    def bound(self) -> npt.NDArray[np.int8]:
        """The index into `BOUNDS` of what most of a row's time is limited by."""
        return np.where(self.waiting > self.seconds / 2, BOUNDS.index("launch"), self.limit).astype(np.int8)

    def limited_by(self, bound: str) -> Floats:
        """Seconds of every row that one of `BOUNDS` limits; unknown ones stay unknown."""
        if bound == "launch":
            return self.waiting
        is_it = self.limit == BOUNDS.index(bound)
        return np.where(is_it | np.isnan(self.seconds), self.seconds - self.waiting, 0.0)


def estimate(
    rows: pa.Table, machine: Machine, *, allow_tf32: Tf32 = NO_TF32, times: npt.NDArray[np.int64] | None = None
) -> Estimate:
    """Seconds of every row of an operator table.

    A row stands for `calls` like calls. A view moves nothing and costs nothing. Unknown are a row whose bytes were not
    recorded, and one whose number format has no known peak on this machine.

    Args:
        rows: at least `COLUMNS`.
        machine: with a known bandwidth, else everything is unknown. A class that its calibration does not have reaches the
            full peak and bandwidth.
        allow_tf32: which float32 matrix products may use tf32 where the machine has it.
        times: how often each row occurs; once if None. Seconds are of one.
    """
    needed = demands(rows, machine, allow_tf32=allow_tf32, in_full=machine.calibration is not None)
    reached = machine.calibration.efficiencies if machine.calibration else {}
    chosen = [reached.get(name, Efficiency()) for name in needed.names]
    compute, memory, latency = (
        np.array([getattr(efficiency, field) for efficiency in chosen])[needed.kinds]
        for field in Efficiency.__struct_fields__
    )
    device = device_s(needed, compute, memory, latency)
    device = device * exposed(needed, device, times)
    waiting = waits_s(needed, device, launch_overhead_s(machine), times)
    is_arithmetic = needed.arithmetic_s / compute > needed.transfer_s / memory
    limit = np.where(needed.link_s != 0, BOUNDS.index("link"), np.where(is_arithmetic, 0, 1)).astype(np.int8)
    return Estimate(device + waiting, waiting, limit)


def launch_overhead_s(machine: Machine) -> float:
    """What the host takes for one operator, as it was fitted or else as the machine's file has it."""
    fitted = machine.calibration.launch_overhead_s if machine.calibration else None
    return fitted or machine.launch_overhead_s or 0.0


def device_s(needed: Demands, compute: Floats, memory: Floats, latency: Floats) -> Floats:
    """Seconds of every row on the device, at efficiencies and with latencies of its own."""
    kernel = np.maximum(needed.arithmetic_s / compute, needed.transfer_s / memory)
    return kernel + needed.copies_s / memory + needed.link_s + needed.calls * latency


def exposed(needed: Demands, device: Floats, times: npt.NDArray[np.int64] | None = None) -> Floats:
    """Of every row the share of its time in which nothing else runs: of copies on a stream of their own, what they take longer
    than their stage's kernels."""
    if not needed.is_overlapped.any():
        return np.ones(len(device))
    weight = np.ones(len(device)) if times is None else times
    seconds = np.nan_to_num(device) * weight
    copies, kernels = (
        np.bincount(needed.stages, np.where(chosen, seconds, 0.0))
        for chosen in (needed.is_overlapped, ~needed.is_overlapped)
    )
    share = np.divide(np.maximum(copies - kernels, 0.0), copies, out=np.ones(len(copies)), where=copies > 0)
    return np.where(needed.is_overlapped, share[needed.stages], 1.0)


def waits_s(needed: Demands, device: Floats, overhead_s: float, times: npt.NDArray[np.int64] | None = None) -> Floats:
    """Seconds of every row in which the device waits for its launch.

    Of a stage they are what the host takes longer than the device, shared among rows that are launched more slowly than they
    run, by how much.
    """
    launched = needed.calls * overhead_s
    late = np.nan_to_num(np.maximum(launched - device, 0.0))
    weight = np.ones(len(late)) if times is None else times
    count = int(needed.stages.max(initial=-1)) + 1
    excess, all_late = (
        np.bincount(needed.stages, np.nan_to_num(values) * weight, count) for values in (launched - device, late)
    )
    share = np.divide(np.maximum(excess, 0.0), all_late, out=np.zeros(count), where=all_late > 0)
    return late * share[needed.stages]


def demands(rows: pa.Table, machine: Machine, *, allow_tf32: Tf32 = NO_TF32, in_full: bool) -> Demands:
    """What rows of an operator table need of a machine.

    Args:
        rows: at least `COLUMNS`.
        machine: whose figures count; its calibration does not.
        allow_tf32: as `estimate` takes it.
        in_full: count whole tiles and temporaries, too, as kernels of today have them; a bound from below has neither.
    """
    flops, moved, calls = work(rows)
    arithmetic = (_whole_tiles(rows, flops) if in_full else flops) / peaks(rows, machine, allow_tf32=allow_tf32)
    copied = np.nan_to_num(_numbers(rows, "copied_bytes")) if in_full else np.zeros(len(flops))
    bandwidth = machine.bandwidth_bytes_per_s or np.nan
    kinds, names = _kinds(rows)
    operators, operator_names = _codes(rows["operator"])
    is_link, is_overlapped = (
        np.array([name in chosen for name in operator_names], bool)[operators]
        for chosen in (HOST_LINK, {HOST_TO_DEVICE_OVERLAPPED})
    )
    link = machine.host_bandwidth_bytes_per_s or np.nan
    return Demands(
        np.where(flops == 0, 0.0, arithmetic),
        np.where(is_link, 0.0, moved / bandwidth),
        2 * copied / bandwidth,
        np.where(is_link, _numbers(rows, "bytes_read") / link, 0.0),
        is_overlapped,
        calls,
        kinds,
        names,
        _codes(rows["stage"])[0],
    )


def work(rows: pa.Table) -> tuple[Floats, Floats, Floats]:
    """FLOPs that matrix units do, bytes that are moved and calls that do either, of every row.

    FLOPs that no formula counts are 0 here; bytes that were not recorded are NaN. An embedding is handed its whole table and
    reads as much of it as it writes.
    """
    classes, names = _codes(rows["operator_class"])
    is_matrix = np.array([name in MATRIX_CLASSES for name in names], bool)[classes]
    is_lookup = np.array([name == "embedding" for name in names], bool)[classes]
    flops = np.where(is_matrix, np.nan_to_num(_numbers(rows, "flops")), 0.0)
    read, written = _numbers(rows, "bytes_read"), _numbers(rows, "bytes_written")
    moved = np.where(is_lookup, np.minimum(read, written), read) + written
    return flops, moved, np.where((moved == 0) & (flops == 0), 0.0, _numbers(rows, "calls"))


def peaks(rows: pa.Table, machine: Machine, *, allow_tf32: Tf32 = NO_TF32) -> Floats:
    """The machine's peak FLOP/s for every row's number format; NaN where it is not known."""
    codes, names = _codes(rows["precision"])
    products, convolutions = (
        np.array([_peak(machine, number_format(name, allow_tf32=allowed)) for name in names])[codes]
        for allowed in (allow_tf32.matmul, allow_tf32.cudnn)
    )
    classes, class_names = _codes(rows["operator_class"])
    is_convolution = np.array([name == "convolution" for name in class_names], bool)[classes]
    found = np.where(is_convolution, convolutions, products)
    operators, operator_names = _codes(rows["operator"])
    is_int8 = np.array([name == "aten::_int_mm" for name in operator_names])[operators]
    return np.where(is_int8, _peak(machine, "int8"), found)


def number_format(precision: str | None, *, allow_tf32: bool = False) -> str | None:
    """Which of a machine's peaks a data type's matrix products run at."""
    if precision is not None and precision.startswith("float8"):
        return "float8"
    return "tf32" if precision == "float32" and allow_tf32 else precision


def with_estimates(operators: pa.Table, found: Estimate) -> pa.Table:
    """The operator table with its column ``estimated_s`` filled; null where a time is unknown."""
    index = operators.schema.get_field_index("estimated_s")
    return operators.set_column(index, "estimated_s", pa.array(found.seconds, mask=np.isnan(found.seconds)))


def _whole_tiles(rows: pa.Table, flops: Floats) -> Floats:
    """FLOPs of kernels where a simulation told them, else those that are counted."""
    tiles = _numbers(rows, "tile_flops")
    return np.where(np.isnan(tiles) | (flops == 0), flops, tiles)


def _kinds(rows: pa.Table) -> tuple[Codes, list[str]]:
    """The operator class of every row, but that of a linear layer for the products of attention that is written out."""
    classes, names = _codes(rows["operator_class"])
    operators, operator_names = _codes(rows["operator"])
    told = [name or "" for name in [*names, "linear"]]
    is_product = np.array([name in PRODUCTS for name in operator_names], bool)[operators]
    is_attention = np.array([name == "attention" for name in told], bool)[classes]
    return np.where(is_product & is_attention, len(names), classes), told


def _peak(machine: Machine, name: str | None) -> float:
    """Without tf32 units, float32 products run on the ordinary ones."""
    stated = machine.peak_flops_per_s
    known = stated.get(name or "") or (stated.get("float32") if name == "tf32" else None)
    return known or np.nan


def _numbers(rows: pa.Table, name: str) -> Floats:
    """A column as float64; null is NaN."""
    return rows[name].cast(pa.float64()).to_numpy()


def _codes(column: pa.ChunkedArray) -> tuple[Codes, list[str | None]]:
    """Which of a few names each row has; null is a name, too."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode("encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
