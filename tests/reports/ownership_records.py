"""Simulated and measured runs whose times, peaks and joules are known by construction, for prices worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from suite import record_folder
from suite.machine import Machine
from suite.record import Energy, Outcome, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES

GB = 10**9
FLOPS_OF_A_SECOND = 312 * 10**12
"""On an A100, in float16."""


def save_simulated(
    folder: Path,
    stack: Sequence[str] = (),
    *,
    seconds: float = 3.6,
    peak_gb: float | None = 20,
    precision: str = "float16",
    short_on: Machine | None = None,
    machine: Machine | None = None,
) -> Path:
    """A simulated run of a toy: so many seconds of an A100's convolutions, in so much memory.

    It ran out of memory on the machine `short_on`; else it was for `machine`, if one is named.
    """
    name = "+".join(stack) or "out_of_the_box"
    row = {"stage": "denoise_step", "step": 0, "module": "denoiser.x", "operator": "aten::convolution", "calls": 1,
           "operator_class": "convolution", "precision": precision, "flops": int(seconds * FLOPS_OF_A_SECOND),
           "bytes_read": 0, "bytes_written": 0}  # fmt: skip
    tables = {"operators": [row]}
    if peak_gb is not None:
        tables["memory_peaks"] = [{"stage": "generate", "allocated_bytes": round(peak_gb * GB), "weights_bytes": GB}]
    config = {"optimization": {each: {} for each in stack}, "device": {"precision": precision}}
    facts: dict[str, Any] = {"config": config, "request": {"batch_size": 2}}
    if (named := short_on or machine) is not None:
        facts |= {"environment": {"machine": msgspec.to_builtins(named)}}
    if short_on is not None:
        facts |= {"outcome": Outcome(status="oom", reason="1 GiB more")}
    return _save(folder, f"simulated-{name}", "simulate", tables, **facts)


def save_measured(
    folder: Path,
    device_name: str,
    *,
    latencies_s: Sequence[float] = (),
    joules: Sequence[float] = (),
    energy: Energy | None = None,
    outcome: Outcome | None = None,
) -> Path:
    """A measured run of a toy on a GPU of that name; joules of another arm stand beside its own."""
    samples = [Sample(metric="latency_s", value=value, trial=trial) for trial, value in enumerate(latencies_s)]
    samples += [Sample(metric="energy_j", value=value, trial=trial) for trial, value in enumerate(joules)]
    samples += [Sample(metric="energy_j", value=1e6, trial=trial, arm="out_of_the_box") for trial in range(len(joules))]
    return _save(
        folder, f"measured-{device_name.replace(' ', '_')}", "measure", {}, samples=samples, energy=energy,
        outcome=outcome or Outcome(status="ok"), request={"batch_size": 2},
        environment={"device": "cuda", "gpu": {"name": device_name}},
    )  # fmt: skip


def _save(folder: Path, name: str, execution: str, tables: dict[str, Any], **facts: Any) -> Path:
    found = Record(
        **{"run_id": name, "name": name, "created": "2026-01-01T00:00:00+00:00", "execution": execution,
           "workload": WorkloadFacts(name="toy", media="video", scale="paper"), "outcome": Outcome(status="ok")} | facts
    )  # fmt: skip
    rows = {key: pa.Table.from_pylist(kept, schema=TABLES[key]) for key, kept in tables.items()}
    record_folder.save(found, rows, folder / name)
    return folder
