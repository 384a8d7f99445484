"""Costs on machines: prices, joules and memory against what was worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reports import load
from reports.cost_of_ownership import NO_BOUND, costs, machines_by_price, price_notes, short_name
from suite.estimates import known_machines
from suite.machine import Calibration
from suite.record import Energy, Outcome
from tests.reports.ownership_records import GB, save_measured, save_simulated

pytestmark = pytest.mark.usefixtures("rooflines")

A100, T4, H200, TURING = "NVIDIA A100 80GB SXM", "NVIDIA T4", "NVIDIA H200 141GB SXM", "NVIDIA GeForce RTX 2080 Ti"


def only(folder: Path) -> dict[Any, Any]:
    (row,) = costs(load(folder)).to_dict("records")
    return row


def test_energy_of_a_calibrated_time_is_an_estimate(tmp_path: Path) -> None:
    told = Calibration(
        machine=A100, efficiencies={}, runs=["x"], relative_error=0.1, largest_relative_error=0.2, power_share=0.75
    )
    machine = msgspec.structs.replace(known_machines()["a100_80gb"], calibration=told)
    row = costs(load(save_simulated(tmp_path, machine=machine))).set_index("machine").loc[A100]
    assert row["kwh_per_1000"] == pytest.approx(0.75 * 0.2)
    assert (row["basis"], row["energy_is"]) == ("estimated, calibrated", "estimated: 75 % of board power")


def test_a_simulated_run_is_priced_on_every_machine(tmp_path: Path) -> None:
    frame = costs(load(save_simulated(tmp_path))).set_index("machine")
    row = frame.loc[A100]
    # 3.6 s for two videos on 400 W at 1.39 USD an hour: 1.8 s are 0.0005 h, and 0.2 Wh.
    assert row["seconds"] == pytest.approx(1.8)
    assert row["usd_per_1000"] == pytest.approx(0.695)
    assert row["kwh_per_1000"] == pytest.approx(0.2)
    assert (row["basis"], row["energy_is"]) == ("estimated, roofline", NO_BOUND)
    assert (row["fits"], row["item"]) == ("fits", "video")
    # The same arithmetic at 65 TFLOP/s would take longer on a T4, but 20 GB are more than its 16.
    assert frame.loc[T4, "fits"] == "does not fit"
    assert frame.loc[T4, ["seconds", "usd", "usd_per_1000", "kwh_per_1000", "energy_is"]].isna().all()


@pytest.mark.parametrize(("more", "fits"), [(0, "fits"), (1, "does not fit")])
def test_a_peak_of_just_what_a_context_leaves_fits(more: int, fits: str, tmp_path: Path) -> None:
    t4 = known_machines()["t4"]
    assert t4.capacity_bytes
    assert t4.context_bytes
    peak = t4.capacity_bytes - t4.context_bytes + more
    assert costs(load(save_simulated(tmp_path, peak_gb=peak / GB))).set_index("machine").loc[T4, "fits"] == fits


def test_without_a_peak_nobody_knows_whether_it_fits(tmp_path: Path) -> None:
    row = costs(load(save_simulated(tmp_path, peak_gb=None))).set_index("machine").loc[T4]
    assert row["fits"] == "unknown"
    assert row["usd_per_1000"] == pytest.approx(1.8 * 312 / 65 / 3.6 * 0.526)


def test_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    save_simulated(tmp_path, peak_gb=1)
    frame = costs(load(tmp_path)).set_index("machine")
    assert frame.loc[TURING, ["usd", "usd_per_1000"]].isna().all()
    assert frame.loc[TURING, "price_source"] == "unknown"
    # 3.6 s of an A100's 312 TFLOP/s are 10.4 s of two videos at 53.8 TFLOP/s each, at 250 W.
    assert frame.loc[TURING, "kwh_per_1000"] == pytest.approx(1.8 * 312 / 53.8 * 250 / 3600)
    other = costs(load(save_simulated(tmp_path / "b", peak_gb=1, precision="bfloat16"))).set_index("machine")
    assert other.loc[T4, ["seconds", "usd", "kwh_per_1000"]].isna().all(), "a T4 has no bfloat16"
    assert other.loc[T4, "energy_is"] == "unknown"


def test_prices_relative_to_the_workload_out_of_the_box(tmp_path: Path) -> None:
    save_simulated(tmp_path)
    save_simulated(tmp_path, ["fewer_steps"], seconds=1.44, peak_gb=10)
    frame = costs(load(tmp_path)).set_index(["machine", "stack"])
    assert frame.loc[(A100, "out_of_the_box"), "relative_usd"] == 1
    assert frame.loc[(A100, "fewer_steps"), "relative_usd"] == pytest.approx(0.4), "60 % less time is 60 % less rent"
    assert frame.loc[(T4, "fewer_steps")].isna()["relative_usd"], "out of the box does not fit there"


def test_measured_joules_are_taken_where_a_device_counted_them(tmp_path: Path) -> None:
    counted = Energy(covers="gpu_board")
    row = only(
        save_measured(tmp_path, "NVIDIA H200", latencies_s=(3.0, 7.2, 9.0), joules=(700, 720, 800), energy=counted)
    )
    assert (row["machine"], row["basis"], row["fits"]) == (H200, "measured", "fits")
    assert row["kwh_per_1000"] == pytest.approx(0.1), "720 J for two videos"
    assert row["energy_is"] == "measured, GPU board"
    assert row["usd_per_1000"] == pytest.approx(3.59), "3.6 s of an hour at 3.59 USD, a thousand times"


def test_a_counter_that_is_unavailable_leaves_the_upper_bound_and_its_reason(tmp_path: Path) -> None:
    row = only(save_measured(tmp_path, "NVIDIA H200", latencies_s=(7.2,), energy=Energy(unavailable="Not Supported")))
    assert row["kwh_per_1000"] == pytest.approx(3.6 * 700 / 3600)
    assert row["energy_is"] == "upper bound: board power (counter unavailable: Not Supported)"


def test_a_measured_run_that_asked_for_no_energy_has_the_upper_bound(tmp_path: Path) -> None:
    assert only(save_measured(tmp_path, "NVIDIA H200", latencies_s=(7.2,)))["energy_is"] == "upper bound: board power"


def test_on_an_unknown_machine_energy_alone_is_told_and_only_where_it_was_asked_for(tmp_path: Path) -> None:
    why = Energy(unavailable="no RAPL package here")
    row = only(save_measured(tmp_path / "a", "A toy", latencies_s=(2.0,), energy=why))
    assert (row["machine"], row["seconds"], row["price_source"]) == ("A toy", 1.0, "unknown")
    assert row["energy_is"] == "counter unavailable: no RAPL package here"
    assert row["kwh_per_1000"] is None or row["kwh_per_1000"] != row["kwh_per_1000"]
    counted = Energy(covers="cpu_packages")
    row = only(save_measured(tmp_path / "b", "A toy", latencies_s=(2.0,), joules=(36.0,), energy=counted))
    assert (row["kwh_per_1000"], row["energy_is"]) == (pytest.approx(0.005), "measured, CPU packages")
    assert costs(load(save_measured(tmp_path / "c", "A toy", latencies_s=(2.0,)))).empty


def test_a_measured_run_without_room_does_not_fit(tmp_path: Path) -> None:
    row = only(save_measured(tmp_path, "Tesla T4", outcome=Outcome(status="oom", reason="CUDA out of memory")))
    assert (row["machine"], row["fits"]) == (T4, "does not fit")
    assert row["usd_per_1000"] != row["usd_per_1000"]


def test_a_simulated_run_without_room_on_its_own_machine_is_priced_where_it_fits(tmp_path: Path) -> None:
    """20 GB of tensors on a card of 24: fragments did not fit. Nor do they on less; it is priced on those with more."""
    card = known_machines()["rtx_3090"]
    frame = costs(load(save_simulated(tmp_path, short_on=card))).set_index("machine")
    assert frame.loc[card.name, "fits"] == frame.loc[T4, "fits"] == "does not fit"
    assert frame.loc[card.name, ["seconds", "usd_per_1000"]].isna().all()
    assert frame.loc[A100, "fits"] == "fits"
    assert frame.loc[A100, "usd_per_1000"] == pytest.approx(0.695)


def test_a_context_takes_of_what_a_machine_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {name: msgspec.structs.replace(one, context_bytes=10**9, capacity_bytes=16 * 10**9)
             for name, one in known_machines().items() if name == "t4"}  # fmt: skip
    for module in ("reports.estimates", "reports.cost_of_ownership"):
        monkeypatch.setattr(f"{module}.known_machines", lambda: known)
    for peak_gb, fits in ((15, "fits"), (16, "does not fit")):
        found = costs(load(save_simulated(tmp_path / str(peak_gb), peak_gb=peak_gb)))
        assert found.set_index("machine").loc[T4, "fits"] == fits


def test_every_price_comes_with_its_source_and_date(tmp_path: Path) -> None:
    frame = costs(load(save_simulated(tmp_path)))
    notes = price_notes(frame)
    for row in machines_by_price(frame).dropna(subset="usd_per_hour").to_dict("records"):
        assert f"{row['machine']} {row['usd_per_hour']:g}" in notes
        assert row["price_source"] in notes
        assert "20" in row["price_source"], "a year"
    unpriced = [machine.name for machine in known_machines().values() if machine.price_per_hour_usd is None]
    assert TURING in unpriced
    assert notes.endswith(f"No price is known of {', '.join(unpriced)}.")
    prices = list(machines_by_price(frame)["usd_per_hour"].dropna())
    assert prices == sorted(prices)


@pytest.mark.parametrize(
    ("name", "short"),
    [("NVIDIA H200 141GB SXM", "H200 141GB SXM"), (TURING, "RTX 2080 Ti"), ("AMD Instinct MI300X", "MI300X"),
     ("AMD EPYC 9B14", "EPYC 9B14"), ("a toy", "a toy")],
)  # fmt: skip
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short
