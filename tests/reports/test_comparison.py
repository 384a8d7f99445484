"""The order in which runs stand, which trials a number is of, and what is compared when the machine was not quiet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports.comparison import doubt_of, in_order, latencies, quiet_latencies, stage_times
from reports.loading import load
from reports.tables import latency
from suite.record import Sample
from suite.statistics import paired_ratio, verdict
from tests.reports.claims_records import save_run, trials
from tests.reports.synthetic import make_run

NOISE = np.array([1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0] * 3)
LATE = np.arange(30) >= 10
"""The last 20 of 30 trials."""
DOUBT = "Trials jump: 0-9 took 1 s, 10-29 took 2 s."


def test_groups_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    for folder, name in (("c", "model-9"), ("a", "model-12"), ("b", "a-model")):
        make_run(tmp_path, "parti", shown=name, folder=folder, num_trials=1)
    assert in_order(load(tmp_path))["group"].tolist() == ["a-model", "model-9", "model-12"]


def save(folder: Path, samples: Sequence[Sample], /, **doubts: str | None) -> None:
    warm_up = Sample(metric="latency_s", value=900.0, warmup=True)
    save_run(folder, "toy", ("a",), samples=[warm_up, *samples], doubts=doubts, gpu="GPU")


def compared(folder: Path) -> dict[Any, Any]:
    (row,) = latencies(load(folder)).to_dict("records")
    return row


def test_trials_set_aside_are_in_pairs_alone(tmp_path: Path) -> None:
    save(tmp_path, trials([5.0, 1.0, 2.0], aside=[0]) + trials([7.0, 8.0, 9.0], "out_of_the_box", aside=[0, 2]))
    runs = load(tmp_path)
    counted, paired = quiet_latencies(runs), quiet_latencies(runs, all_regimes=True)
    assert list(zip(counted["arm"], counted["trial"], counted["value"], strict=True)) == [
        ("stack", 1, 1.0), ("stack", 2, 2.0), ("out_of_the_box", 1, 8.0),
    ]  # fmt: skip
    assert paired["value"].tolist() == [5.0, 1.0, 2.0, 7.0, 8.0, 9.0]
    assert quiet_latencies(runs, "decode").empty


def test_the_time_of_a_run_is_that_of_the_trials_that_count(tmp_path: Path) -> None:
    save(tmp_path, trials([40.0] * 3 + [1.0, 2.0, 3.0, 4.0, 5.0], aside=range(3)), stack=DOUBT)
    row = compared(tmp_path)
    assert (row["trials"], row["median_s"], row["min_s"], row["max_s"]) == (5, 3.0, 1.0, 5.0)
    assert (row["low_s"], row["high_s"]) == (1.0, 5.0)  # of five values the interval is their range


def test_stages_are_those_of_the_trials_that_count(tmp_path: Path) -> None:
    decode = [
        Sample(metric="latency_s", stage="decode", value=value, trial=trial, set_aside=trial < 2)
        for trial, value in enumerate([30.0, 30.0, 0.25, 0.25, 0.25])
    ]
    save(tmp_path, trials([40.0, 40.0, 1.0, 1.0, 1.0], aside=[0, 1]) + decode, stack=DOUBT)
    found = stage_times(load(tmp_path)).set_index("stage")["median_s"]
    assert found.to_dict() == {"decode": 0.25, "between stages": 0.75}


def test_what_hits_both_trials_of_a_round_leaves_the_verdict(tmp_path: Path) -> None:
    """The machine slowed down fourfold for a third of the rounds; the stack takes 1.25 times as long throughout."""
    machine = np.where(LATE, 1.0, 4.0)
    own, box = (1.25 * machine * NOISE).tolist(), (machine * NOISE[::-1]).tolist()
    aside = range(10)
    save(tmp_path, trials(own, aside=aside) + trials(box, "out_of_the_box", aside=aside), stack=DOUBT)
    row = compared(tmp_path)
    assert (row["box_verdict"], row["box_pairs"], row["trials"]) == ("SLOWER", 30, 20)
    assert row["box_speedup"] == pytest.approx(1 / 1.25, rel=0.005)
    assert row["median_s"] == pytest.approx(1.25, rel=0.005)
    assert row["doubt"] == DOUBT


@pytest.mark.parametrize(
    "ratio",
    [
        pytest.param(np.where(LATE, 2.0, 1.0), id="step"),
        pytest.param(np.linspace(1.1, 1.6, 30), id="drift"),
        pytest.param(np.where(np.arange(30) % 3 == 0, 1.2, 2.0), id="mixed"),
    ],
)
@pytest.mark.parametrize("slower", ["stack", "out_of_the_box", "reference"])
def test_pairs_whose_ratio_is_not_steady_decide_nothing(ratio: np.ndarray, slower: str, tmp_path: Path) -> None:
    """By its interval alone each of these would be decided."""
    arms = {"stack": NOISE, "out_of_the_box": NOISE[::-1], "reference": NOISE[::-1]}
    arms[slower] = arms[slower] * ratio
    save(tmp_path, [one for arm, values in arms.items() for one in trials(values.tolist(), arm)])
    row = compared(tmp_path)
    for prefix, arm in (("box", "out_of_the_box"), ("ref", "reference")):
        by_interval = verdict(paired_ratio(arms[arm], arms["stack"]), 0.02)
        assert by_interval == ({"stack": "SLOWER", arm: "FASTER"}.get(slower, "SAME"))
        assert row[f"{prefix}_verdict"] == (by_interval if by_interval == "SAME" else "UNCLEAR")
        assert row[f"{prefix}_low"] <= row[f"{prefix}_speedup"] <= row[f"{prefix}_high"]  # told all the same


def test_a_doubt_is_that_of_the_run_s_own_arm(tmp_path: Path) -> None:
    save(tmp_path / "own", trials(NOISE.tolist()), stack=DOUBT, out_of_the_box=None)
    save(tmp_path / "beside", trials(NOISE.tolist()), stack=None, out_of_the_box=DOUBT)
    save(tmp_path / "old", trials(NOISE.tolist()))  # from before arms told of it
    told = {name: load(tmp_path / name) for name in ("own", "beside", "old")}
    assert [doubt_of(runs.records[0]) for runs in told.values()] == [DOUBT, None, None]
    assert [compared(tmp_path / name)["doubt"] for name in told] == [DOUBT, None, None]
    assert [latency.build(runs)["machine"].tolist() for runs in told.values()] == [["not quiet"], [None], [None]]
