"""Speed-ups of flash attention against seconds that are handed in, and paired ones against the samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.runs import Runs
from reports.tables import flash_speedup
from tests.reports.attention_records import operator, save_run


def rows(core_s: float) -> list[dict]:
    return [
        operator("attention", core_s, kind="spatial", part="core"),
        operator("linear", 1.0, kind="spatial", part="projection"),
        operator("convolution", 2.0),
    ]


def test_ratios_are_of_seconds_end_to_end_and_of_attention_in_both_readings(tmp_path: Path) -> None:
    save_run(tmp_path, stack="baseline_attention", operators=rows(5.0))
    save_run(tmp_path, stack="flash_attention", operators=rows(1.0))
    (row,) = flash_speedup.build(load(tmp_path)).to_dict("records")
    assert (row["baseline_s"], row["flash_s"]) == (8.0, 4.0)
    assert row["speedup"] == pytest.approx(2)
    assert row["core_speedup"] == pytest.approx(5)
    assert row["attention_speedup"] == pytest.approx(3)
    assert row["core_share"] == pytest.approx(5 / 8)
    assert row["attention_share"] == pytest.approx(6 / 8)
    assert row["clock"] == "estimated time"


def test_each_baseline_has_a_row(tmp_path: Path) -> None:
    for stack, core_s in (("baseline_attention", 5.0), ("eager_attention", 3.0), ("flash_attention", 1.0)):
        save_run(tmp_path, stack=stack, operators=rows(core_s))
    table = flash_speedup.build(load(tmp_path)).set_index("over")
    assert table["core_speedup"].to_dict() == pytest.approx({"math": 5, "eager": 3})
    assert table["speedup"].to_dict() == pytest.approx({"math": 8 / 4, "eager": 6 / 4})


def test_a_workload_with_one_of_the_two_kernels_has_no_row(tmp_path: Path) -> None:
    save_run(tmp_path, stack="flash_attention", operators=rows(1.0))
    save_run(tmp_path, operators=rows(1.0))
    assert flash_speedup.build(load(tmp_path)).empty


def test_runs_that_nobody_timed_have_no_row(tmp_path: Path) -> None:
    for stack in ("baseline_attention", "flash_attention"):
        save_run(tmp_path, stack=stack, operators=[operator("convolution", None, 10)])
    assert flash_speedup.build(load(tmp_path)).empty


def test_a_measured_speedup_stands_beside_the_ratio_of_profiled_times(runs: Runs) -> None:
    table = flash_speedup.build(runs).set_index("group")
    assert set(table.index) == {"animatediff", "parti", "stable_diffusion"}
    for row in table.to_dict("records"):
        assert row["paired_low"] <= row["paired_speedup"] <= row["paired_high"]
        assert row["paired_speedup"] == pytest.approx(row["speedup"], rel=0.02)
