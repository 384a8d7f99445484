"""The order in which runs stand, by their names alone, and what trials say where a machine was not quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.comparison import in_order, latencies
from reports.loading import load
from suite.record import Arm
from tests.reports.claims_records import save_run, trials
from tests.reports.synthetic import make_run

QUIET = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01]
DOUBT = "Trials 0-5 took 30 s, the others 1 s."


def test_groups_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    for folder, name in (("c", "model-9"), ("a", "model-12"), ("b", "a-model")):
        make_run(tmp_path, "parti", shown=name, folder=folder, num_trials=1)
    assert in_order(load(tmp_path))["group"].tolist() == ["a-model", "model-9", "model-12"]


def compared(folder: Path, own: list[float], beside: list[float]) -> dict:
    """The row of a run whose first trials are set aside in both arms."""
    samples = trials(own, num_set_aside=6) + trials(beside, "out_of_the_box", num_set_aside=6)
    save_run(folder, "toy", ("deepcache",), samples=samples, gpu="GPU", arms=[Arm(name="stack", doubt=DOUBT)])
    (row,) = latencies(load(folder)).to_dict("records")
    return row


def test_a_latency_is_that_of_the_trials_that_count_and_carries_its_doubt(tmp_path: Path) -> None:
    row = compared(tmp_path, [30.0] * 6 + QUIET, [30.0] * 6 + QUIET)
    assert (row["trials"], row["median_s"], row["max_s"]) == (8, pytest.approx(1.0), 1.02)
    assert row["doubt"] == DOUBT


def test_pairs_that_saw_the_same_machine_decide_whatever_it_did(tmp_path: Path) -> None:
    beside = [30.0] * 6 + QUIET
    row = compared(tmp_path, [0.8 * seconds for seconds in beside], beside)
    assert (row["box_pairs"], row["box_speedup"], row["box_verdict"]) == (14, pytest.approx(1.25), "FASTER")


def test_pairs_whose_ratio_steps_decide_nothing(tmp_path: Path) -> None:
    row = compared(tmp_path, [0.5] * 7 + [0.9] * 7, [1.0] * 14)
    assert row["box_low"] > 1.02, "an interval alone would say FASTER"
    assert row["box_verdict"] == "UNCLEAR"
