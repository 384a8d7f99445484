"""Time estimates: the roofline of every row of an operator table, on a machine that need not be here.

    kernel = max(FLOPs / (peak * compute efficiency), bytes / (bandwidth * memory efficiency))
    time   = max(kernel + calls * latency, calls * launch overhead)

With efficiencies of 1 and no latency this bounds the time from below (Williams et al. 2009, doi 10.1145/1498765.1498785, for
every operator by itself, nothing kept in a cache between two). A calibration (`suite.calibration`) puts in what a machine
really reaches. Needs neither torch nor Hydra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from suite.machine import Efficiency, Machine
from suite.tensor_cores import NO_TF32, Tf32

Floats = npt.NDArray[np.float64]

MATRIX_CLASSES = frozenset({"convolution", "linear", "attention"})
"""Classes that matrix units compute; all others are bound by memory."""
BOUNDS = ("compute", "memory", "launch")
COLUMNS = ("operator", "operator_class", "precision", "calls", "flops", "bytes_read", "bytes_written")
"""Columns of an operator table that an estimate needs."""


@dataclass(frozen=True)
class Estimate:
    """Of every row: seconds (NaN where they cannot be known) and the index into `BOUNDS` of what limits it."""

    seconds: Floats
    bound: npt.NDArray[np.int8]


def estimate(rows: pa.Table, machine: Machine, *, allow_tf32: Tf32 = NO_TF32) -> Estimate:
    """Seconds of every row of an operator table.

    A row stands for `calls` like calls. A view moves nothing and costs nothing. Unknown are a row whose bytes were not
    recorded, and one whose number format has no known peak on this machine.

    Args:
        rows: at least `COLUMNS`.
        machine: with a known bandwidth, else everything is unknown. A class that its calibration does not have reaches the
            full peak and bandwidth.
        allow_tf32: which float32 matrix products may use tf32 where the machine has it.
    """
    flops, moved, calls = work(rows)
    classes, class_names = _codes(rows["operator_class"])
    known = machine.calibration.efficiencies if machine.calibration else {}
    chosen = [known.get(name or "", Efficiency()) for name in class_names]
    compute, memory, latency = (
        np.array([getattr(efficiency, field) for efficiency in chosen])[classes]
        for field in Efficiency.__struct_fields__
    )
    bandwidth = machine.bandwidth_bytes_per_s or np.nan
    arithmetic = flops / (peaks(rows, machine, allow_tf32=allow_tf32) * compute)
    arithmetic[flops == 0] = 0.0
    transfer = moved / (bandwidth * memory)
    started = calls * (machine.launch_overhead_s or 0.0)
    busy = np.maximum(arithmetic, transfer) + calls * latency
    bound = np.where(started > busy, 2, np.where(arithmetic > transfer, 0, 1)).astype(np.int8)
    return Estimate(np.maximum(busy, started), bound)


def work(rows: pa.Table) -> tuple[Floats, Floats, Floats]:
    """FLOPs that matrix units do, bytes that are moved and calls that do either, of every row.

    FLOPs that no formula counts are 0 here; bytes that were not recorded are NaN. An embedding is handed its whole table and
    reads as much of it as it writes.
    """
    classes, names = _codes(rows["operator_class"])
    is_matrix = np.array([name in MATRIX_CLASSES for name in names])[classes]
    is_lookup = np.array([name == "embedding" for name in names])[classes]
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


def _peak(machine: Machine, name: str | None) -> float:
    """Without tf32 units, float32 products run on the ordinary ones."""
    stated = machine.peak_flops_per_s
    known = stated.get(name or "") or (stated.get("float32") if name == "tf32" else None)
    return known or np.nan


def _numbers(rows: pa.Table, name: str) -> Floats:
    """A column as float64; null is NaN."""
    return rows[name].cast(pa.float64()).to_numpy()


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """Which of a few names each row has; null is a name, too."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode("encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary.to_pylist()
