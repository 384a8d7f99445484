"""The table of simulations beside measurements, on records that are worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from reports import load
from reports.exhibits import build_table
from reports.tables import simulation_error
from suite import record_folder
from suite.machine import Machine
from suite.record import Outcome, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES
from tests.reports.simulated import ROWS

GPU = Machine(
    name="Toy 80GB", reported_as=("NVIDIA Toy",), bandwidth_bytes_per_s=2.039e12, peak_flops_per_s={"bfloat16": 3.12e14}
)
"""As an A100, on which `ROWS` take 2.5 s."""


def save(folder: Path, execution: str, peaks: tuple[int, int], *, status: str = "ok", **changed: Any) -> None:
    """A run with its peaks, and 2 s of latency or the operators that are estimated."""
    measured = execution == "measure"
    config = {
        "device": {"precision": "bfloat16", "allow_tf32": False},
        "request": {"batch_size": 1},
        "optimization": {},
    }
    environment = {"device": "cuda", "gpu": {"name": changed.pop("gpu", "NVIDIA Toy")}} if measured else {}
    samples = [Sample(metric="latency_s", value=2.0, trial=trial) for trial in range(5)] if measured else []
    found = Record(
        run_id=f"{execution}-{peaks[0]}", name=f"toy-{execution}", created="2026-01-01T00:00:00+00:00",
        execution=execution, outcome=Outcome(status=status), request={"batch_size": 1}, samples=samples,
        workload=WorkloadFacts(name="toy", media="image", scale="paper"), config=config | changed,
        environment=environment if measured else {"machine": msgspec.to_builtins(GPU)},
    )  # fmt: skip
    tables = {
        "memory_peaks": pa.Table.from_pylist(
            [
                {"stage": "decode", "allocated_bytes": 1, "reserved_bytes": 1},
                {"stage": "generate", "allocated_bytes": peaks[0], "reserved_bytes": peaks[1]},
            ],
            schema=TABLES["memory_peaks"],
        )
    }
    if not measured:
        tables["operators"] = pa.Table.from_pylist(list(ROWS), schema=TABLES["operators"])
    record_folder.save(found, tables, folder / found.run_id)


def test_peaks_and_time_beside_each_other(tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000))
    save(tmp_path, "simulate", (970, 2200))
    frame = simulation_error.build(load(tmp_path))
    assert len(frame) == 1
    row = frame.iloc[0]
    assert (row["allocated_bytes"], row["reserved_bytes"], row["latency_s"]) == (1000, 2000, 2.0)
    assert row["allocated_ratio"] == pytest.approx(0.97)
    assert row["reserved_ratio"] == pytest.approx(1.1)
    assert row["latency_ratio"] == pytest.approx(2.5 / 2.0)
    assert row["machine"] == "Toy 80GB"
    exhibit = build_table(simulation_error, load(tmp_path))
    assert exhibit is not None
    assert "Simulated allocated" in exhibit.files["md"]


def test_an_estimate_for_another_machine_is_none_of_this_one(tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000), gpu="NVIDIA Something else")
    save(tmp_path, "simulate", (970, 2200))
    row = simulation_error.build(load(tmp_path)).iloc[0]
    assert row["allocated_ratio"] == pytest.approx(0.97)
    assert row.get("latency_ratio") is None


@pytest.mark.parametrize("changed", [{"request": {"batch_size": 2}}, {"optimization": {"a": {}}}, {"status": "failed"}])
def test_only_the_same_request_that_ended_well_is_a_partner(changed: dict[str, Any], tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000))
    save(tmp_path, "simulate", (970, 2200), **changed)
    assert simulation_error.build(load(tmp_path)).empty


def test_a_simulation_that_found_no_room_where_there_was_some_is_shown(tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000))
    save(tmp_path, "simulate", (970, 2200), status="oom")
    row = simulation_error.build(load(tmp_path)).iloc[0]
    assert (row["simulated_outcome"], row["reserved_ratio"]) == ("oom", pytest.approx(1.1))


def test_a_measured_run_without_room_is_no_partner(tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000), status="oom")
    save(tmp_path, "simulate", (970, 2200))
    assert simulation_error.build(load(tmp_path)).empty


def test_another_kind_of_segments_is_another_configuration(tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000))
    save(tmp_path, "simulate", (970, 2200), device={"precision": "bfloat16", "expandable_segments": True})
    assert simulation_error.build(load(tmp_path)).empty


def test_without_both_kinds_there_is_no_table(tmp_path: Path) -> None:
    save(tmp_path, "measure", (1000, 2000))
    assert simulation_error.build(load(tmp_path)).empty
