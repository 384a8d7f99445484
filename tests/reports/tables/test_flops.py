"""Runs that nobody timed: reports.tables.flops, reports.breakdown, reports.figures.operator_breakdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.breakdown import by_segment
from reports.figures import operator_breakdown
from reports.tables import flops
from suite.machine import Machine
from tests.reports.simulated import ROWS, save_simulated


def test_a_run_without_a_clock_has_its_flops_and_no_rate(tmp_path: Path) -> None:
    runs = load(save_simulated(tmp_path))
    table = flops.build(runs).set_index("segment")
    assert table.loc["convolution", "share"] == pytest.approx(312 / 468)
    assert table.loc["all classes", "flops"] == 468e12
    assert table["flops_per_s"].isna().all()
    assert by_segment(runs).empty


def test_estimated_seconds_are_drawn_under_the_name_of_their_machine(tmp_path: Path) -> None:
    rows = [row | {"estimated_s": seconds} for row, seconds in zip(ROWS, (1.0, 1.0, 0.5, 0.0), strict=True)]
    runs = load(save_simulated(tmp_path, machine=Machine(name="a toy machine"), rows=rows))
    frame = by_segment(runs).set_index("segment")
    assert set(frame["clock"]) == {"estimated time on a toy machine"}
    assert frame.loc["convolution", "share"] == pytest.approx(0.4)
    assert "estimated time on a toy machine" in operator_breakdown.caption(runs)
    assert "profiled pass" not in operator_breakdown.caption(runs)
    assert flops.build(runs)["flops_per_s"].isna().all(), "an estimated rate is no achieved one"
