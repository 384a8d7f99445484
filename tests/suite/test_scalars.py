"""Event files as TensorBoard's own reader sees them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from suite.record import Outcome, Record, Sample, WorkloadFacts
from suite.record_tables import TABLES
from suite.scalars import EVENTS_FILE, with_scalars

OPERATORS = [
    {"operator_class": "linear", "host_self_s": 3.0, "flops": 100},
    {"operator_class": "linear", "host_self_s": 1.0, "flops": None},
    {"operator_class": "convolution", "host_self_s": 4.0, "flops": 300},
]
PEAKS = [{"stage": "decode", "weights_bytes": 10, "allocated_bytes": 30}]


def record(samples: list[Sample]) -> Record:
    return Record(
        run_id="a" * 64,
        name="toy",
        created="2026-01-01T00:00:00+00:00",
        execution="measure",
        workload=WorkloadFacts(name="toy"),
        outcome=Outcome(status="ok"),
        samples=samples,
    )


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Points of every tag, read by TensorBoard."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_samples_are_points_by_arm_and_warm_up(tmp_path: Path) -> None:
    samples = [
        Sample(metric="latency_s", value=9.0, warmup=True),
        Sample(metric="latency_s", value=1.5),
        Sample(metric="latency_s", value=2.5, arm="reference"),
        Sample(metric="latency_s", value=1.25, trial=1),
        *[Sample(metric="latency_s", stage="denoise_step", step=step, value=0.5 + step) for step in range(3)],
    ]
    found = with_scalars(record(samples), {}, tmp_path)
    assert found.files == [EVENTS_FILE]
    assert read(tmp_path) == {
        "warmup/latency_s/generate": [(0, 9.0)],
        "latency_s/generate": [(0, 1.5), (1, 1.25)],
        "reference/latency_s/generate": [(0, 2.5)],
        "latency_s/denoise_step": [(0, 0.5), (1, 1.5), (2, 2.5)],
    }


def test_tables_are_peaks_sums_and_shares(tmp_path: Path) -> None:
    tables = {
        "operators": pa.Table.from_pylist(OPERATORS, schema=TABLES["operators"]),
        "memory_peaks": pa.Table.from_pylist(PEAKS, schema=TABLES["memory_peaks"]),
    }
    with_scalars(record([]), tables, tmp_path)
    assert {tag: points[0][1] for tag, points in read(tmp_path).items()} == {
        "memory_peaks/decode/weights_bytes": 10,
        "memory_peaks/decode/allocated_bytes": 30,
        "operators/host_self_s": 8.0,
        "operator_share/host_self_s/linear": 0.5,
        "operator_share/host_self_s/convolution": 0.5,
        "operators/flops": 400,
        "operator_share/flops/linear": 0.25,
        "operator_share/flops/convolution": 0.75,
    }


def test_values_keep_the_precision_of_32_bits(tmp_path: Path) -> None:
    with_scalars(record([Sample(metric="latency_s", value=0.123456789)]), {}, tmp_path)
    ((_, value),) = read(tmp_path)["latency_s/generate"]
    assert value == pytest.approx(0.123456789, rel=1e-7)


def test_a_run_without_numbers_has_no_event_file(tmp_path: Path) -> None:
    untouched = record([])
    assert with_scalars(untouched, {}, tmp_path) is untouched
    assert not list(tmp_path.iterdir())
