"""What the page lays side by side, against the statistics that it is made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reports.comparison import latencies, quiet_latencies
from reports.loading import load
from reports.runs import Runs
from reports.side_by_side import side_by_side
from suite.statistics import Interval, unpaired_ratio
from tests.reports.claims_records import save_in_doubt
from tests.reports.synthetic import make_run


def trials(runs: Runs, run_id: str) -> list[float]:
    found = quiet_latencies(runs)
    return list(found[(found["run_id"] == run_id) & (found["arm"] == "stack")]["value"])


def finished(runs: Runs) -> dict[str, str]:
    """Whole run ids by what the page calls them."""
    return {record.run_id[:8]: record.run_id for record in runs.records if record.outcome.status == "ok"}


def test_quotients_of_the_ends_are_the_unpaired_interval(runs: Runs) -> None:
    told = side_by_side(runs)
    assert told is not None
    ids = finished(runs)
    assert sorted(run["id"] for run in told["runs"]) == sorted(ids)
    first, *others = told["runs"]
    for other in others:
        expected = unpaired_ratio(trials(runs, ids[first["id"]]), trials(runs, ids[other["id"]]))
        (x, x_low, x_high), (y, y_low, y_high) = first["latency"]["ends"], other["latency"]["ends"]
        assert Interval(y_low / x_high, y / x, y_high / x_low, 10, 0.95) == Interval(
            pytest.approx(expected.low), pytest.approx(expected.median), pytest.approx(expected.high), 10, 0.95
        )


def test_paired_ratios_are_the_inverse_of_the_speed_ups(runs: Runs) -> None:
    told = side_by_side(runs)
    assert told is not None
    speedups = latencies(runs).set_index("run_id")
    paired = [(run["id"], run["paired"]["out of the box"]) for run in told["runs"] if "out of the box" in run["paired"]]
    assert paired
    for short, (ratio, low, high, count, decides) in paired:
        row = speedups.loc[finished(runs)[short]]
        assert 1 / ratio == pytest.approx(row["box_speedup"])
        assert low <= ratio <= high
        assert (count, decides) == (row["box_pairs"], row["box_verdict"] != "UNCLEAR")


def test_a_doubt_reaches_the_page(tmp_path: Path) -> None:
    """The third run's pairs step; the second's do not, though its machine was not quiet either."""
    save_in_doubt(tmp_path)
    told = side_by_side(load(tmp_path))
    assert told is not None
    assert [run["is_quiet"] for run in told["runs"]] == [True, False, False]
    assert [run["paired"].get("out of the box", [None])[-1] for run in told["runs"]] == [None, True, False]


def test_every_number_can_be_written_into_a_page(runs: Runs, tmp_path: Path) -> None:
    json.dumps(side_by_side(runs), allow_nan=False)
    for seed in "ab":
        make_run(tmp_path, "parti", num_trials=1, seed=seed)
    single = side_by_side(load(tmp_path).readable())
    assert single is not None
    assert single["runs"][0]["latency"]["ends"][1:] == [None, None]
    json.dumps(single, allow_nan=False)


def test_one_run_has_nothing_beside_it(tmp_path: Path) -> None:
    make_run(tmp_path, "parti")
    assert side_by_side(load(tmp_path).readable()) is None
