"""Calibration: what a machine really reaches, fitted to measured runs beside the simulations of the same configurations.

A measured row has seconds and no bytes, and its FLOPs stand at the operator that was called while its seconds stand at the one
that did the work. So rows are compared by module, stage and operator class, summed over steps, and the work of each such cell
is the simulation's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from suite.errors import ConfigError
from suite.machine import Calibration, Efficiency, Machine
from suite.record import Record
from suite.roofline import Floats, demands
from suite.tensor_cores import Tf32

KEYS = ("stage", "module", "operator_class")
LEAST_CELLS = 5
"""Cells of a class below which nothing is fitted: its class keeps the roofline."""
BOUNDS = {"compute": (1e-4, 2.0), "memory": (1e-4, 100.0), "latency_s": (1e-8, 1e-2)}
"""Where a fit looks; a convolution by Winograd does fewer FLOPs than are counted, and caches outrun memory."""


@dataclass(frozen=True)
class Cells:
    """What one run's cells needed and what they took; arrays of one length."""

    run: str
    latency_s: float | None
    """Median of the run's quiet trials."""
    operator_class: npt.NDArray[np.object_]
    arithmetic_s: Floats
    """FLOPs over the machine's peak for them."""
    transfer_s: Floats
    """Bytes over the machine's bandwidth."""
    copies_s: Floats
    """Temporaries, written and read, over the same."""
    calls: Floats
    measured_s: Floats
    """NaN for cells that only the simulation knows; what only the measurement knows (Python between operators,
    allocations) is no cell."""

    @property
    def whole_s(self) -> float:
        """Seconds of all measured cells."""
        return float(np.nansum(self.measured_s))


def configuration(record: Record) -> str:
    """What a measured run and its simulation have in common: the work, not how or where it was done."""
    config = record.config
    alike: dict[str, Any] = {name: config.get(name) for name in ("workload", "request", "weights", "optimization")}
    alike["order"] = (config.get("order") or {}).get("optimization")
    alike["precision"] = (config.get("device") or {}).get("precision")
    alike["expandable_segments"] = bool((config.get("device") or {}).get("expandable_segments"))
    return json.dumps(alike, sort_keys=True)


def cells(record: Record, measured: pa.Table, simulated: pa.Table, machine: Machine) -> Cells:
    """The cells of a measured run, with the work that its simulation says they are."""
    clock = "device_self_s" if measured["device_self_s"].null_count < measured.num_rows else "host_self_s"
    taken = measured.group_by(KEYS).aggregate([(clock, "sum")])
    needed = _work_by_cell(simulated, machine, allow_tf32=Tf32.of(record.config))
    joined = needed.join(taken, list(KEYS), join_type="left outer").sort_by([(key, "ascending") for key in KEYS])
    arithmetic, transfer, copies, calls, seconds = (
        joined[f"{name}_sum"].cast(pa.float64()).to_numpy()
        for name in ("arithmetic", "transfer", "copies", "calls", clock)
    )
    usable = (calls > 0) & np.isfinite(arithmetic) & np.isfinite(transfer)
    names = np.array(joined["operator_class"].to_pylist(), object)[usable]
    seconds = np.where(seconds[usable] > 0, seconds[usable], np.nan)
    return Cells(
        run=record.name,
        latency_s=_latency_s(record),
        operator_class=names,
        arithmetic_s=arithmetic[usable],
        transfer_s=transfer[usable],
        copies_s=copies[usable],
        calls=calls[usable],
        measured_s=seconds,
    )


def calibrate(runs: Sequence[Cells], machine: Machine) -> Calibration:
    """Efficiencies of every class, and the error on runs that the fit did not see.

    Raises:
        ConfigError: nothing to fit to.
    """
    if not any(run.whole_s for run in runs):
        raise ConfigError("RUNS: no measured run with a simulation of the same configuration beside it")
    errors = [
        abs(
            float(predicted_s(left_out, fit([run for run in runs if run is not left_out])).sum()) / left_out.latency_s
            - 1
        )
        for left_out in runs
        if left_out.latency_s is not None and len(runs) > 1
    ]
    return Calibration(
        machine=machine.name,
        efficiencies=fit(runs),
        runs=[run.run for run in runs],
        relative_error=float(np.median(errors)) if errors else None,
        largest_relative_error=max(errors, default=None),
    )


def predicted_s(run: Cells, efficiencies: Mapping[str, Efficiency]) -> Floats:
    """Seconds of every cell by the formula of `suite.roofline`; the latencies that are fitted hold the launches."""
    found = np.zeros(len(run.calls))
    for name in set(run.operator_class):
        reached, chosen = efficiencies.get(name, Efficiency()), run.operator_class == name
        arithmetic_s, transfer_s = run.arithmetic_s[chosen] / reached.compute, run.transfer_s[chosen] / reached.memory
        beside = run.copies_s[chosen] / reached.memory + run.calls[chosen] * reached.latency_s
        found[chosen] = np.maximum(arithmetic_s, transfer_s) + beside
    return found


def fit(runs: Sequence[Cells]) -> dict[str, Efficiency]:
    """Efficiencies by class: robust least squares of the logarithm of time, a cell weighing as much as its share of its run."""
    classes = sorted({name for run in runs for name in run.operator_class})
    found = {name: _fit_class(name, runs) for name in classes}
    return {name: efficiency for name, efficiency in found.items() if efficiency is not None}


def _fit_class(operator_class: str, runs: Sequence[Cells]) -> Efficiency | None:
    from scipy.optimize import least_squares

    chosen = [(run.operator_class == operator_class) & ~np.isnan(run.measured_s) for run in runs]
    arithmetic, transfer, copies, calls, measured = (
        np.concatenate([getattr(run, name)[rows] for run, rows in zip(runs, chosen, strict=True)])
        for name in ("arithmetic_s", "transfer_s", "copies_s", "calls", "measured_s")
    )
    if len(measured) < LEAST_CELLS:
        return None
    shares = np.concatenate([run.measured_s[rows] / run.whole_s for run, rows in zip(runs, chosen, strict=True)])
    weights = np.sqrt(shares / shares.sum())

    def residuals(logarithms: Floats) -> Floats:
        compute, memory, latency = np.exp(logarithms)
        kernel = np.maximum(arithmetic / compute, transfer / memory) + copies / memory
        return weights * np.log((kernel + calls * latency) / measured)

    low, high = np.log(np.array(list(BOUNDS.values()))).T
    starts = [np.log([compute, memory, 1e-6]) for compute in (0.1, 0.8) for memory in (0.3, 3.0)]
    fits = [least_squares(residuals, start, bounds=(low, high), loss="soft_l1", f_scale=0.02) for start in starts]
    compute, memory, latency = (float(number) for number in np.exp(min(fits, key=lambda found: found.cost).x))
    return Efficiency(compute=compute if arithmetic.any() else 1.0, memory=memory, latency_s=latency)


def _latency_s(record: Record) -> float | None:
    trials = list(record.latencies().values())
    return float(np.median(trials)) if trials else None


def _work_by_cell(simulated: pa.Table, machine: Machine, *, allow_tf32: Tf32) -> pa.Table:
    needed = demands(simulated, machine, allow_tf32=allow_tf32, in_full=True)
    columns = {name: simulated[name] for name in KEYS}
    columns |= {"arithmetic": needed.arithmetic_s, "transfer": needed.transfer_s, "copies": needed.copies_s}
    columns["calls"] = needed.calls
    return (
        pa.table(columns)
        .group_by(KEYS)
        .aggregate([(name, "sum") for name in ("arithmetic", "transfer", "copies", "calls")])
    )
