"""Costs against prices multiplied by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.tables import cost
from suite.estimates import known_machines
from tests.reports.simulated import save_measured, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")


def test_an_item_is_its_share_of_an_hour(tmp_path: Path) -> None:
    table = cost.build(load(save_simulated(tmp_path, batch_size=5))).set_index("machine")
    machine = known_machines()["a100_80gb"]
    row = table.loc[machine.name]
    assert machine.price_per_hour_usd is not None
    assert machine.power_w is not None
    assert row["seconds"] == pytest.approx(0.5)
    assert row["usd"] == pytest.approx(machine.price_per_hour_usd * 0.5 / 3600)
    assert row["usd_per_1000"] == pytest.approx(1000 * row["usd"])
    assert row["kwh_per_1000"] == pytest.approx(500 / 3600 * machine.power_w / 1000)
    assert (row["item"], row["basis"]) == ("image", "estimated, roofline")
    assert set(table.index) == {known.name for known in known_machines().values()}


def test_what_is_unknown_is_not_priced(tmp_path: Path) -> None:
    table = cost.build(load(save_simulated(tmp_path))).set_index("machine")
    turing = table.loc["NVIDIA GeForce RTX 2080 Ti"]
    assert turing[["seconds", "usd", "usd_per_1000"]].isna().all()
    assert turing["price_source"] == "unknown"
    assert turing["error"] == "its peak for bfloat16 is not known"
    assert table.loc["NVIDIA T4", "price_source"].startswith("reported, not verified: AWS")


def test_measured_runs_are_priced_where_they_ran(tmp_path: Path) -> None:
    runs = load(
        save_measured(tmp_path / "a", "NVIDIA H200", (3.0, 4.0, 9.0)), save_measured(tmp_path / "b", "A toy", (1.0,))
    )
    (row,) = cost.build(runs).to_dict("records")
    assert (row["machine"], row["basis"], row["item"]) == ("NVIDIA H200 141GB SXM", "measured", "video")
    assert row["seconds"] == pytest.approx(4.0 / 2), "two videos a generation"
