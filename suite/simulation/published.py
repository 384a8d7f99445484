"""Published latencies beside the simulations of their runs, as `suite.latency_fit` takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from suite.errors import ConfigError
from suite.latency_fit import Latency, calibrations, latency, power_share
from suite.machine import Calibration, Machine, machines
from suite.published_gpu import Row, beside, machine_of, published_rows
from suite.record import Record
from suite.record_folder import find_records, load, load_table
from suite.tensor_cores import Tf32

WEIGHTS = {"high": 1.0, "medium": 0.8, "low": 0.4}
"""Of a latency in the fit, by how sure its settings are."""
TOLD = ("ok", "oom")
"""Outcomes of a simulation that has all its operators."""


def fitted(folders: Sequence[Path], rows_file: Path | None = None) -> dict[str, Calibration]:
    """Calibrations of every machine of ``conf/machine``, from published rows and the runs in some folders.

    Raises:
        ConfigError: no row has a run there.
    """
    rows = published_rows(rows_file)
    latencies = list(_latencies(rows, _simulated(folders)))
    if not latencies:
        raise ConfigError(
            "RUNS: no simulation of a published row is there; python run.py study=published_gpu makes them"
        )
    return calibrations(latencies, machines().values(), power_share(_energies(rows)))


def _simulated(folders: Sequence[Path]) -> dict[Path, Record]:
    records = {path: load(path) for folder in folders for path in find_records(folder)}
    return {path: one for path, one in records.items() if one.execution == "simulate" and one.outcome.status in TOLD}


def _latencies(rows: Iterable[Row], records: dict[Path, Record]) -> Iterable[Latency]:
    times = [row for row in rows if row.is_time]
    paths = beside(times, {path: str(record.config.get("command") or "") for path, record in records.items()})
    for row in times:
        if row.id in paths and row.sim is not None:
            path = paths[row.id]
            operators, steps = _covered(load_table(path, "operators"), row)
            tf32 = Tf32.of(records[path].config)
            yield latency(
                row.id, row.sim.workload, machine_of(row), row.seconds * steps, operators, tf32=tf32, weight=WEIGHTS[row.sure]
            )  # fmt: skip


def _covered(operators: pa.Table, row: Row) -> tuple[pa.Table, int]:
    """The operators that a row's time covers, and of how many such times they are."""
    if row.scope == "generate":
        return operators, 1
    steps = operators.filter(np.array(operators["stage"].to_pylist()) == row.scope)
    return steps, int(steps["step"].to_numpy().max()) + 1


def _energies(rows: Iterable[Row]) -> list[tuple[Machine, float, float]]:
    """Machine, seconds and joules of generations whose latency and energy were published together."""
    found = {(row.source, tuple(row.overrides())): row for row in rows if row.quantity == "latency_s" and row.sim}
    pairs = [
        (row, found.get((row.source, tuple(row.overrides())))) for row in rows if row.quantity == "energy" and row.sim
    ]
    return [(machine_of(energy), time.seconds, energy.value) for energy, time in pairs if time is not None]
