"""Published GPU measurements beside what simulations of the same runs say."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.estimates import estimates
from reports.facts import is_complete
from suite.estimates import energy_j, known_machines, own_machine
from suite.published_gpu import Row, beside, published_rows

if TYPE_CHECKING:
    from reports.runs import Runs
    from suite.record import Record

GIB = 1 << 30
PANELS = {
    "latency": "s",
    "allocated": "bytes",
    "reserved": "bytes",
    "device": "bytes",
    "weights": "bytes",
    "energy": "j",
}
"""What is published, and its unit."""
COUNTERS = {
    "peak_allocated": ("allocated", "allocated_bytes"),
    "peak_reserved": ("reserved", "reserved_bytes"),
    "peak_reserved_or_device": ("reserved", "reserved_bytes"),
    "peak_device": ("device", "device_bytes"),
}
"""Of a row's quantity: what it is, and the column of a stage's peaks that is held against it."""
UNSURE = "low"
"""Of settings that a source does not tell."""
BAND = {"latency": 0.15, "energy": 0.2, "allocated": 0.03, "reserved": 0.08, "device": 0.08, "weights": 0.03}
"""How far a simulation may be off and still be called right."""


@lru_cache(maxsize=4)
def published_gpu(runs: Runs) -> pd.DataFrame:
    """A row for each published measurement of which the run was simulated, in the order of the rows' file.

    ``quantity`` is one of `PANELS`; ``published`` and ``simulated`` are in SI units, of the same scope; ``ratio`` is the second
    over the first, and ``left_out_ratio`` that of a time estimate whose fit had not seen the model. ``counts`` tells rows whose
    settings are known and can be had with today's libraries. Treat it as read-only.
    """
    simulated = {
        path: record
        for record, path in zip(runs.records, runs.folders, strict=True)
        if record.execution == "simulate" and is_complete(record)
    }
    commands = {path: str(record.config.get("command") or "") for path, record in simulated.items()}
    rows = published_rows()
    found = beside(rows, commands)
    told = [_row(runs, row, simulated[found[row.id]]) for row in rows if row.id in found]
    return pd.DataFrame([row for row in told if row["simulated"] is not None])


def _row(runs: Runs, row: Row, record: Record) -> dict[str, Any]:
    quantity, value = quantity_of(row), _simulated(runs, row, record)
    machine = own_machine(record)
    calibration = machine.calibration if machine else None
    error = calibration.errors.get(row.id) if calibration and quantity == "latency" else None
    ratio = None if value is None else value / row.amount
    return {
        "id": row.id,
        "run_id": record.run_id,
        "model": row.model,
        "workload": record.workload.name,
        "batch": row.batch,
        "precision": row.dtype,
        "machine": _machine_words(row),
        "quantity": quantity,
        "scope": "a step" if row.scope == "denoise_step" else "a generation",
        "published": row.amount,
        "simulated": value,
        "ratio": ratio,
        "left_out_ratio": None if error is None else 1 + error,
        "sure": row.sure,
        "flags": row.flags,
        "why_sure": row.why_sure,
        "libraries": row.libraries,
        "our_libraries": _libraries(record),
        "source": row.source,
        "note": row.incomparable or row.note or "",
        "counts": row.sure != UNSURE and row.incomparable is None,
        "outcome": record.outcome.status,
    }


def _libraries(record: Record) -> str:
    """Those that a simulation's code is of."""
    packages = record.environment.get("packages") or {}
    return ", ".join(f"{name} {packages[name]}" for name in ("diffusers", "torch") if name in packages)


def _machine_words(row: Row) -> str:
    return known_machines()[row.machine].name if row.machine in known_machines() else "not named"


def quantity_of(row: Row) -> str:
    """Which of `PANELS` a row is of."""
    if row.quantity in COUNTERS:
        return COUNTERS[row.quantity][0]
    return "latency" if row.is_time else "weights" if row.quantity == "weights_allocated" else "energy"


def _simulated(runs: Runs, row: Row, record: Record) -> float | None:
    """Our number for a row; None where the simulation does not know it."""
    extra = 0 if row.sim is None else row.sim.besides_gib * GIB
    if row.quantity in COUNTERS:
        peak = _peak(runs, record, COUNTERS[row.quantity][1])
        return None if peak is None else peak + extra
    if row.quantity == "weights_allocated":
        return _peak(runs, record, "weights_bytes")
    machine, seconds = own_machine(record), _seconds(runs, row, record)
    if row.quantity != "energy":
        return seconds
    return None if machine is None or seconds is None else energy_j(machine, seconds)


def _peak(runs: Runs, record: Record, column: str) -> float | None:
    peaks = runs.memory_peaks
    own = peaks[(peaks["run_id"] == record.run_id) & (peaks["stage"] == "generate")]
    return None if own.empty or pd.isna(own[column].iloc[0]) else float(own[column].iloc[0])


def _seconds(runs: Runs, row: Row, record: Record) -> float | None:
    """Of what the row covers, on the run's own machine."""
    machine, frame = own_machine(record), estimates(runs)
    if machine is None or frame.empty:
        return None
    own = frame[(frame["run_id"] == record.run_id) & (frame["machine"] == machine.name)]
    steps = 1
    if row.scope == "denoise_step":
        own, steps = own[own["stage"] == row.scope], (record.profile and record.profile.num_steps) or 1
    seconds = float(own["seconds"].sum(skipna=False)) / steps
    return seconds if seconds > 0 else None


def errors(frame: pd.DataFrame, quantity: str, *, left_out: bool = False) -> pd.Series:
    """How far each simulation is off, relative, of rows that count, or of all where none does; of times those of fits that had
    not seen the model if `left_out`."""
    rows = frame[frame["quantity"] == quantity]
    rows = rows[rows["counts"]] if rows["counts"].any() else rows
    return (rows["left_out_ratio" if left_out else "ratio"].astype(float) - 1).abs().dropna()


def summary(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Of each quantity: how many rows, the median error, the share of rows within its band."""
    for quantity, band in BAND.items():
        for left_out in (False, True):
            found = errors(frame, quantity, left_out=left_out)
            if len(found):
                yield {
                    "quantity": quantity,
                    "left_out": left_out,
                    "rows": len(found),
                    "median": float(found.median()),
                    "within": float((found <= band).mean()),
                    "band": band,
                }
