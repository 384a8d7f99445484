"""How far simulations are off: every measured run beside the simulation of the same request."""

# pandas annotates what comes out of a frame too widely for these checks.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false, reportReturnType=false
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.comparison import in_order, latencies
from reports.estimates import estimates
from reports.facts import device_name
from reports.reading import read_table
from reports.table import factor, quantity, text
from suite.calibration import configuration
from suite.estimates import error_words, known_machines, own_machine

if TYPE_CHECKING:
    from pathlib import Path

    from reports.runs import Runs
    from suite.machine import Machine
    from suite.record import Record

SECTION, ORDER = "cost", 30
TITLE = "Simulated and measured"
CAPTION = (
    "Every measured run of which the same request was simulated: peaks of memory and the time of a generation. A factor is the "
    "simulation's number over the measured one: 1 is exact, below 1 it promised too little. Time is estimated for the machine "
    "that was measured, where its figures are known; without a calibration it is a lower bound."
)
COLUMNS = (
    text("Workload", "group"),
    text("Stack", "stack"),
    text("Measured on", "device"),
    quantity("Allocated", "allocated_bytes", "bytes"),
    factor("Simulated allocated", "allocated_ratio"),
    quantity("Reserved", "reserved_bytes", "bytes"),
    factor("Simulated reserved", "reserved_ratio"),
    quantity("Latency", "latency_s", "s"),
    factor("Estimated latency", "latency_ratio"),
    text("Estimated for", "machine"),
    text("Error of the estimate", "error"),
    text("Simulation ended", "simulated_outcome"),
)


def build(runs: Runs) -> pd.DataFrame:
    """A row for each finished measured run that has a simulation of its configuration; bytes, seconds and ratios.

    A simulation that ran out of memory where the device did not has its numbers all the same, and is the more in error.
    """
    known = {record.run_id: (record, folder) for record, folder in zip(runs.records, runs.folders, strict=True)}
    ended = [(record, folder) for record, folder in known.values() if record.outcome.status in ("ok", "oom")]
    simulated = {configuration(record): (record, folder) for record, folder in ended if record.execution == "simulate"}
    measured = {
        record.run_id: (record, folder)
        for record, folder in ended
        if record.execution == "measure" and record.outcome.status == "ok"
    }
    if not simulated or not measured:
        return pd.DataFrame()
    medians = latencies(runs)
    seconds = {} if medians.empty else dict(zip(medians["run_id"], medians["median_s"], strict=True))
    rows = []
    for run in in_order(runs).to_dict("records"):
        record, folder = measured.get(run["run_id"], (None, None))
        partner = None if record is None else simulated.get(configuration(record))
        if record is None or folder is None or partner is None:
            continue
        row = {"group": run["group"], "stack": run["stack"], "device": device_name(record.environment)}
        row["simulated_outcome"] = partner[0].outcome.status
        row |= _memory(folder, partner[1]) | _time(runs, record, partner[0], seconds.get(record.run_id))
        rows.append(row)
    return pd.DataFrame(rows)


def _memory(measured: Path, simulated: Path) -> dict[str, float | None]:
    """The measured peaks of the generation, and the simulated ones over them."""
    ours, theirs = _peaks(measured), _peaks(simulated)
    found: dict[str, float | None] = {}
    for name in ("allocated", "reserved"):
        column = f"{name}_bytes"
        found[column] = ours.get(column)
        found[f"{name}_ratio"] = _ratio(theirs.get(column), ours.get(column))
    return found


def _peaks(folder: Path) -> dict[str, Any]:
    rows = read_table(folder, "memory_peaks").to_pylist()
    return next((row for row in rows if row["stage"] == "generate"), {})


def _time(runs: Runs, record: Record, partner: Record, latency_s: float | None) -> dict[str, Any]:
    """The measured median, and the estimate for that machine over it."""
    machine = _machine(record, partner)
    if latency_s is None or machine is None:
        return {"latency_s": latency_s}
    found = estimates(runs)
    rows = found[(found["run_id"] == partner.run_id) & (found["machine"] == machine.name)] if len(found) else found
    estimated_s = float(rows["seconds"].sum(skipna=False)) if len(rows) else None
    told = {"latency_s": latency_s, "machine": machine.name, "error": error_words(machine)}
    return told | {"latency_ratio": _ratio(estimated_s, latency_s)}


def _machine(record: Record, partner: Record) -> Machine | None:
    """The machine that was measured, with the simulation's calibration if it is that one; None where it is not known."""
    name, own = device_name(record.environment), own_machine(partner)
    candidates = [*([] if own is None else [own]), *known_machines().values()]
    return next((one for one in candidates if name in (one.name, *one.reported_as)), None)


def _ratio(simulated: float | None, measured: float | None) -> float | None:
    return simulated / measured if simulated is not None and measured else None
