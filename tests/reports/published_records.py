"""Simulated records of published rows whose numbers are chosen by hand."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from suite import record_folder
from suite.machine import Calibration, Efficiency, Machine
from suite.published_gpu import Row, published_rows
from suite.record import Outcome, Profile, Record, WorkloadFacts
from suite.record_tables import TABLES

ROWS = {row.id: row for row in published_rows()}
BANDWIDTH = 1e12


def plain_machine(errors: dict[str, float] | None = None) -> Machine:
    """One that moves 10^12 bytes a second at 100 W, half of which generations draw."""
    told = Calibration(
        machine="plain", efficiencies={"other": Efficiency()}, runs=list(errors or {}), power_share=0.5, errors=errors or {}
    )  # fmt: skip
    return Machine(name="plain", bandwidth_bytes_per_s=BANDWIDTH, power_w=100, calibration=told)


def save_published(
    folder: Path, row: Row, *, machine: Machine, seconds: float, status: str = "ok", **peaks: int
) -> None:
    """The run of a row: ten steps that take all its seconds in a stage denoise_step, half as long again in decode."""
    moved = {"denoise_step": seconds * BANDWIDTH, "decode": seconds * BANDWIDTH / 2}
    rows: list[dict[str, Any]] = [
        {"stage": stage, "operator": "aten::mul", "operator_class": "elementwise", "precision": row.dtype, "calls": 1,
         "bytes_read": int(total), "bytes_written": 0}
        for stage, total in moved.items()
    ]  # fmt: skip
    tables = {
        "operators": pa.Table.from_pylist(rows, schema=TABLES["operators"]),
        "memory_peaks": pa.Table.from_pylist([{"stage": "generate", **peaks}], schema=TABLES["memory_peaks"]),
    }
    command = shlex.join([*row.overrides(), "study=published_gpu"])
    assert row.sim is not None
    found = Record(
        run_id=row.id, name=row.id, created="2026-01-01T00:00:00+00:00", execution="simulate",
        outcome=Outcome(status=status, reason=None if status == "ok" else "too large"),
        request={"batch_size": row.batch}, workload=WorkloadFacts(name=row.sim.workload, media="image", scale="paper"),
        config={"command": command, "device": {"precision": row.dtype}},
        environment={"machine": msgspec.to_builtins(machine)},
        profile=Profile(num_steps=10, num_events=None, span_s=None, operators_without_flops=[]),
    )  # fmt: skip
    record_folder.save(found, tables, folder / row.id)
