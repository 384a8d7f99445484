"""The table of costs by machine: one cell for price and energy, words where there is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import load
from reports.cost_of_ownership import short_name
from reports.exhibits import build_table
from reports.tables import cost_of_ownership
from suite.estimates import known_machines
from suite.record import Energy
from tests.reports.ownership_records import save_measured, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")


def cells(folder: Path) -> tuple[list[dict[str, str]], str]:
    table = build_table(cost_of_ownership, load(folder))
    assert table is not None
    assert table.files["md"].startswith(table.caption)
    return [dict(zip(table.rendered.headers, row, strict=True)) for row in table.rendered.rows], table.caption


def test_a_row_a_run_and_a_column_a_machine(tmp_path: Path) -> None:
    save_simulated(tmp_path)
    save_simulated(tmp_path, ["fewer_steps"], seconds=1.44, peak_gb=10)
    (own, fewer), caption = cells(tmp_path)
    assert (own["Stack"], fewer["Stack"]) == ("out_of_the_box", "fewer_steps")
    assert own["A100 80GB SXM"] == "0.695 (0.200)"
    assert fewer["A100 80GB SXM"] == "0.278 (0.0800)"
    assert own["T4"] == own["RTX 2080 Ti"] == "does not fit"
    assert fewer["RTX 2080 Ti"] == "unknown (0.290)", "0.72 s of an A100's arithmetic at 53.8 TFLOP/s and 250 W"
    assert own["Energy is"] == "no bound: board power for a time that is bounded from below"
    assert "RunPod's lowest (spot) rate, March 2026" in caption
    unpriced = [known.name for known in known_machines().values() if known.price_per_hour_usd is None]
    assert "NVIDIA GeForce RTX 2080 Ti" in unpriced
    assert f"No price is known of {', '.join(unpriced)}." in caption


def test_machines_stand_in_the_order_of_their_price(tmp_path: Path) -> None:
    (row,), _ = cells(save_simulated(tmp_path))
    prices = {short_name(known.name): known.price_per_hour_usd for known in known_machines().values()}
    told = [prices[machine] for machine in list(row)[4:-2]]
    known = [price for price in told if price is not None]
    assert known == sorted(known)
    assert told == [*known, *[None] * (len(prices) - len(known))], "those without a price stand last"


def test_nothing_known_is_said_in_a_word(tmp_path: Path) -> None:
    (row,), _ = cells(save_simulated(tmp_path, peak_gb=1, precision="bfloat16"))
    assert row["T4"] == "unknown"


def test_a_measured_run_has_its_own_machine_alone(tmp_path: Path) -> None:
    save_simulated(tmp_path / "a")
    save_measured(tmp_path / "b", "NVIDIA H200", latencies_s=(7.2,), joules=(720.0,), energy=Energy(covers="gpu_board"))
    rows, _ = cells(tmp_path)
    (row,) = [row for row in rows if row["Time is"] == "measured"]
    assert (row["H200 141GB SXM"], row["Energy is"]) == ("3.59 (0.100)", "measured, GPU board")
    assert {row[name] for name in list(row)[4:-2] if name != "H200 141GB SXM"} == {"\N{EN DASH}"}


def test_a_counter_that_is_unavailable_says_why(tmp_path: Path) -> None:
    save_measured(tmp_path, "A toy", latencies_s=(2.0,), energy=Energy(unavailable="no RAPL package here"))
    (row,), _ = cells(tmp_path)
    assert (row["A toy"], row["Energy is"]) == ("unknown", "counter unavailable: no RAPL package here")


def test_csv_holds_numbers(tmp_path: Path) -> None:
    frame = cost_of_ownership.build(load(save_simulated(tmp_path)))
    assert frame["usd_per_1000: NVIDIA A100 80GB SXM"].iloc[0] == pytest.approx(0.695)
    assert frame["kwh_per_1000: NVIDIA A100 80GB SXM"].iloc[0] == pytest.approx(0.2)


def test_no_costs_no_table(tmp_path: Path) -> None:
    assert build_table(cost_of_ownership, load(save_measured(tmp_path, "A toy", latencies_s=(2.0,)))) is None
