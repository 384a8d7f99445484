"""Simulated runs on machines that hold them and on machines that do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.experiment import Result

GIB = 2**30
SMOKE = ("execution=simulate", "device=cuda", "machine=h100", "machine.calibration=null", "device.precision=float32")


@pytest.fixture
def simulated(experiment: Callable, tmp_path: Path) -> Callable[..., Result]:
    def run(*overrides: str) -> Result:
        made = experiment(*SMOKE, *overrides)
        return made.execution.execute(made, tmp_path, lambda message: None)

    return run


def whole(result: Result) -> dict[str, Any]:
    return next(row for row in result.tables["memory_peaks"].to_pylist() if row["stage"] == "generate")


def test_a_machine_that_is_too_small_is_an_outcome_with_numbers_and_all_tables(
    simulated: Callable[..., Result],
) -> None:
    roomy = simulated()
    small = simulated("machine.capacity_bytes=90_000_000", "machine.context_bytes=10_000_000")
    assert roomy.record.outcome.status == "ok"
    outcome = small.record.outcome
    assert outcome.status == "oom"
    assert re.fullmatch(
        r"tried to allocate [\d.]+ MiB (in \w+|for weights), where [\d.]+ MiB were allocated and [\d.]+ MiB reserved of the "
        r"76\.3 MiB that tensors may have on NVIDIA H100 80GB SXM; the generation needs [\d.]+ MiB, [\d.]+ MiB more",
        outcome.reason or "",
    )
    assert whole(small)["allocated_bytes"] == whole(roomy)["allocated_bytes"]
    assert whole(small)["reserved_bytes"] > 80_000_000
    for name in ("operators", "attention"):
        assert small.tables[name].equals(roomy.tables[name])
    assert small.record.profile == roomy.record.profile


def test_what_a_driver_would_report_is_known_where_the_context_is(simulated: Callable[..., Result]) -> None:
    row = whole(simulated("machine.context_bytes=500_000_000"))
    assert row["device_bytes"] == row["reserved_bytes"] + 500_000_000
    assert whole(simulated("machine.context_bytes=null"))["device_bytes"] is None


def test_expandable_segments_hold_less_than_segments_of_their_own(simulated: Callable[..., Result]) -> None:
    plain = whole(simulated("workload=animatediff"))
    grown = whole(simulated("workload=animatediff", "device.expandable_segments=true"))
    assert grown["allocated_bytes"] == plain["allocated_bytes"]
    assert grown["allocated_bytes"] <= grown["reserved_bytes"] < plain["reserved_bytes"]


def test_a_cpu_that_is_simulated_has_no_allocator_to_run_full(simulated: Callable[..., Result]) -> None:
    found = simulated("device=cpu", "machine.capacity_bytes=90_000_000", "machine.context_bytes=10_000_000")
    assert found.record.outcome.status == "ok"
    assert whole(found)["device_bytes"] is None


def test_the_record_tells_the_settings_that_the_simulation_went_by(simulated: Callable[..., Result]) -> None:
    found = simulated("device.allow_tf32_matmul=true", "device.allow_tf32_cudnn=false").record
    assert (found.environment["torch"]["allow_tf32_matmul"], found.environment["torch"]["allow_tf32_cudnn"]) == (
        True,
        False,
    )
    assert {name: found.config["device"][name] for name in ("allow_tf32_matmul", "allow_tf32_cudnn")} == {
        "allow_tf32_matmul": True, "allow_tf32_cudnn": False,
    }  # fmt: skip


def test_out_of_the_box_float32_convolutions_alone_are_estimated_in_tf32(simulated: Callable[..., Result]) -> None:
    """As torch has it: 7.4 times the peak for convolutions where arithmetic is the limit, and the same for products."""
    default, without = simulated(), simulated("device.allow_tf32_cudnn=false")
    before, after = (
        result.tables["operators"].to_pandas().groupby("operator_class")["estimated_s"].sum()
        for result in (without, default)
    )
    assert after["convolution"] < before["convolution"]
    assert after.drop("convolution").equals(before.drop("convolution"))
