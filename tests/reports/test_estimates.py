"""Estimates of whole runs on known machines, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports import load
from reports.estimates import SUMS, bound_words, distinct, estimates
from reports.reading import read_table
from suite.estimates import chosen_machine, known_machines
from suite.machine import Calibration, Efficiency, Machine
from tests.reports.simulated import ROWS, save_measured, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")


def test_every_run_is_on_every_known_machine(tmp_path: Path) -> None:
    runs = load(save_simulated(tmp_path))
    found = estimates(runs)
    assert set(found["machine"]) == {machine.name for machine in known_machines().values()}
    a100 = found[found["machine"] == "NVIDIA A100 80GB SXM"].set_index(["stage", "segment"])
    assert a100.loc[("denoise_step", "convolution"), "seconds"] == pytest.approx(1.0)
    assert a100.loc[("denoise_step", "elementwise"), "seconds"] == pytest.approx(1.0)
    assert a100.loc[("decode", "attention projection"), "seconds"] == pytest.approx(0.5)
    assert a100.loc[("decode", "data_movement"), "seconds"] == 0
    assert a100[["compute_s", "memory_s", "launch_s"]].sum().tolist() == pytest.approx([1.5, 1.0, 0.0])
    assert chosen_machine(runs.records[0]).name == "NVIDIA A100 80GB SXM"


def test_rows_that_repeat_are_estimated_once_and_counted_each_time(tmp_path: Path) -> None:
    once, thrice = save_simulated(tmp_path / "a"), save_simulated(tmp_path / "b", rows=[*ROWS, *ROWS, *ROWS])
    sums = [estimates(load(folder)).groupby(["machine", "stage", "segment"])[SUMS].sum() for folder in (once, thrice)]
    pd.testing.assert_frame_equal(3 * sums[0], sums[1])
    table = read_table(next(thrice.glob("*")), "operators", ["stage", "operator", "flops"])
    rows, times = distinct(table)
    assert (rows.num_rows, times.tolist()) == (len(ROWS), [3] * len(ROWS))


def test_a_machine_without_units_for_the_precision_leaves_the_time_unknown(tmp_path: Path) -> None:
    found = estimates(load(save_simulated(tmp_path)))
    turing = found[found["machine"] == "NVIDIA T4"].set_index("segment")
    assert turing.loc[["convolution", "attention projection"], "seconds"].isna().all()
    assert turing.loc["elementwise", "seconds"] == pytest.approx(2039 / 320)


def test_the_machine_of_the_run_replaces_the_known_one_of_its_name(tmp_path: Path) -> None:
    calibration = Calibration(
        machine="NVIDIA H200 141GB SXM", efficiencies={"elementwise": Efficiency(memory=0.5)}, runs=[]
    )
    own = Machine(name="NVIDIA H200 141GB SXM", bandwidth_bytes_per_s=2.039e12, calibration=calibration)
    found = estimates(load(save_simulated(tmp_path, machine=own)))
    rows = found[(found["machine"] == own.name) & (found["segment"] == "elementwise")]
    assert rows["seconds"].tolist() == pytest.approx([2.0])


def test_measured_runs_have_no_estimates(tmp_path: Path) -> None:
    assert estimates(load(save_measured(tmp_path, "NVIDIA H200", (1.0,)))).empty


def test_words() -> None:
    assert bound_words({"compute_s": 3.0, "memory_s": 1.0, "launch_s": 0.0, "link_s": 0.0}) == "compute (75 %)"
    assert bound_words({"compute_s": 0.0, "memory_s": 0.0, "launch_s": 0.0, "link_s": 0.0}) is None
    assert bound_words({"compute_s": float("nan"), "memory_s": 1.0, "launch_s": 0.0, "link_s": 0.0}) is None
