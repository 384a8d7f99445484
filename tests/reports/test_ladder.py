"""Ladders of stacks whose every number is known.

Names for the mirror: reports.tables.ladder, reports.figures.ladder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from reports import load
from reports.exhibits import build_table, draw_figure
from reports.figures import ladder as figure
from reports.ladder import ladders, longest_chain
from reports.style import house_style
from reports.tables import ladder as table
from suite.record import Outcome, Sample
from tests.reports.streamlined_records import SECOND, save_run

pytestmark = pytest.mark.usefixtures("rooflines")

TIMES = "\N{MULTIPLICATION SIGN}"
MATH, FLASH, SLICED, REHASHED = (
    ("baseline_attention",),
    ("flash_attention",),
    ("flash_attention", "vae_slicing"),
    ("flash_attention", "vae_slicing", "step_rehash"),
)


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    """16, 8, 8 and 4 seconds of an A100; 20, 10, 5 and 6 GiB."""
    save_run(tmp_path, MATH, 20, [4 * SECOND] * 4)
    save_run(tmp_path, FLASH, 10, [2 * SECOND] * 4)
    save_run(tmp_path, SLICED, 5, [2 * SECOND] * 4)
    save_run(tmp_path, REHASHED, 6, [SECOND] * 4, exact=False)
    save_run(tmp_path, ("step_rehash",), 20, [SECOND] * 4, exact=False)
    return tmp_path


def measured(
    folder: Path,
    stack: Sequence[str],
    peak_gib: float,
    own: list[float],
    first: list[float],
    *,
    doubt: str | None = None,
    num_aside: int = 0,
) -> None:
    arms = {"stack": own, "reference": first}
    samples = [
        Sample(metric="latency_s", value=value, trial=trial, arm=arm, set_aside=trial < num_aside)
        for arm, values in arms.items()
        for trial, value in enumerate(values)
    ]
    config = {"reference": {"baseline_attention": {}}}
    save_run(folder, stack, peak_gib, samples=samples, config=config, doubt=doubt)


def test_the_longest_chain_of_stacks_that_begin_with_each_other() -> None:
    assert longest_chain([("b",), ("a", "b"), (), ("a",), ("b", "a"), ("a", "b", "c")]) == [
        (), ("a",), ("a", "b"), ("a", "b", "c"),
    ]  # fmt: skip
    assert longest_chain([]) == []


def test_ratios_are_over_the_first_rung_and_over_the_one_before(simulated: Path) -> None:
    frame = ladders(load(simulated)).set_index("added")
    assert list(frame.index) == ["baseline_attention", "flash_attention", "vae_slicing", "step_rehash"]
    assert frame["seconds"].tolist() == pytest.approx([16, 8, 8, 4])
    assert frame["relative_time"].tolist() == pytest.approx([1, 1 / 2, 1 / 2, 1 / 4])
    assert frame["step_time"].tolist() == pytest.approx([1, 1 / 2, 1, 1 / 2])
    assert frame["relative_memory"].tolist() == pytest.approx([1, 1 / 2, 1 / 4, 6 / 20])
    assert frame["step_memory"].tolist() == pytest.approx([1, 1 / 2, 1 / 2, 6 / 5])
    assert set(frame["time_is"]) == {"estimated, NVIDIA A100 80GB SXM"}


def test_measured_ratios_are_of_pairs_and_drift_between_runs_is_in_none(tmp_path: Path) -> None:
    """The machine is twice as slow while the last rung runs, for both of its arms."""
    measured(tmp_path, MATH, 20, [4.0] * 6, [])
    measured(tmp_path, FLASH, 10, [2.0] * 6, [4.0] * 6)
    measured(tmp_path, SLICED, 5, [2.0] * 6, [8.0] * 6)
    frame = ladders(load(tmp_path)).set_index("added")
    assert frame["relative_time"].tolist() == pytest.approx([1, 0.5, 0.25])
    assert frame["step_time"].tolist() == pytest.approx([1, 0.5, 0.5])
    assert frame["seconds"].tolist() == pytest.approx([4, 2, 2])


def test_trials_set_aside_are_in_pairs_alone_and_the_machine_is_told_of(tmp_path: Path) -> None:
    """A neighbour made both arms of the second rung ten times as slow in its first three rounds."""
    measured(tmp_path, MATH, 20, [4.0] * 8, [])
    measured(tmp_path, FLASH, 10, [20.0] * 3 + [2.0] * 5, [40.0] * 3 + [4.0] * 5, doubt="Trials jump.", num_aside=3)
    measured(tmp_path, SLICED, 5, [2.0] * 8, [4.0] * 8)
    runs = load(tmp_path)
    frame = ladders(runs)
    assert frame["seconds"].tolist() == pytest.approx([4, 2, 2])
    assert frame["relative_time"].tolist() == pytest.approx([1, 0.5, 0.5])
    built = build_table(table, runs)
    assert built is not None
    column = built.rendered.headers.index("Machine")
    assert ["not quiet" in row[column] for row in built.rendered.rows] == [False, True, False]


def test_an_interval_over_the_rung_before_holds_what_both_may_be(tmp_path: Path) -> None:
    measured(tmp_path, MATH, 20, [4.0] * 9, [])
    noisy = [1.8, 1.9, 1.9, 2.0, 2.0, 2.0, 2.1, 2.1, 2.2]
    measured(tmp_path, FLASH, 10, noisy, [4.0] * 9)
    measured(tmp_path, SLICED, 5, [value / 2 for value in noisy], [4.0] * 9)
    row = ladders(load(tmp_path)).set_index("added").loc["vae_slicing"]
    assert row[["relative_time", "step_time"]].tolist() == pytest.approx([0.25, 0.5])
    assert row["relative_low"] < 0.25 < row["relative_high"]
    assert row["step_low"] < 0.5 < row["step_high"]
    assert row["step_high"] / row["step_low"] > row["relative_high"] / row["relative_low"]


def test_without_pairs_two_runs_are_compared_as_they_are(tmp_path: Path) -> None:
    for stack, seconds in ((MATH, 4.0), (FLASH, 2.0), (SLICED, 1.0)):
        samples = [Sample(metric="latency_s", value=seconds, trial=trial) for trial in range(6)]
        save_run(tmp_path, stack, 10, samples=samples)
    assert ladders(load(tmp_path))["relative_time"].tolist() == pytest.approx([1, 0.5, 0.25])


def test_the_workload_out_of_the_box_is_the_ground_where_math_attention_did_not_run(simulated: Path) -> None:
    save_run(simulated, (), 10, [2 * SECOND] * 4)
    assert ladders(load(simulated))["added"].iloc[0] == "baseline_attention"
    oom = Outcome(status="oom", reason="too large")
    save_run(simulated, MATH, outcome=oom)
    frame = ladders(load(simulated))
    assert frame["added"].iloc[0] == "out_of_the_box"
    assert frame["relative_memory"].tolist() == pytest.approx([1, 1, 1 / 2, 6 / 10])


def test_a_rung_that_did_not_run_is_told_and_the_next_is_held_against_the_last_that_did(simulated: Path) -> None:
    save_run(simulated, SLICED, outcome=Outcome(status="not_applicable", reason="a single latent"))
    runs = load(simulated)
    frame = ladders(runs).set_index("added")
    assert frame.loc["vae_slicing", ["outcome", "reason"]].tolist() == ["not_applicable", "a single latent"]
    assert pd.isna(frame.loc["vae_slicing", "relative_time"])
    assert frame.loc["step_rehash", "step_memory"] == pytest.approx(6 / 10)
    with house_style():
        assert draw_figure(figure, runs) is not None


def test_fewer_than_three_rungs_are_no_ladder(tmp_path: Path) -> None:
    save_run(tmp_path, MATH, 20)
    save_run(tmp_path, FLASH, 10)
    save_run(tmp_path, ("vae_slicing",), 10)
    assert ladders(load(tmp_path)).empty
    assert build_table(table, load(tmp_path)) is None
    assert draw_figure(figure, load(tmp_path)) is None


def test_the_figure_and_the_table_tell_every_rung(simulated: Path) -> None:
    runs = load(simulated)
    with house_style():
        drawn = draw_figure(figure, runs)
    assert drawn is not None
    assert f"animatediff: 4.00{TIMES} faster and 3.33{TIMES} less memory with all of them" in drawn.caption
    assert f"animatediff rung 2 vae_slicing: 2.00{TIMES} faster, 4.00{TIMES} less memory" in drawn.alt_text
    built = build_table(table, runs)
    assert built is not None
    rows = [dict(zip(built.rendered.headers, row, strict=True)) for row in built.rendered.rows]
    assert [row["Adds"] for row in rows] == ["baseline_attention", "flash_attention", "vae_slicing", "step_rehash"]
    assert rows[3]["Peak over the one before"] == f"1.20{TIMES}"


def test_a_bar_is_what_is_left_with_what_was_saved_or_added_beside_it(simulated: Path) -> None:
    drawn = figure.draw(load(simulated))
    assert drawn is not None
    memory = drawn.axes[1]
    ends: dict[int, list[float]] = {}
    for bar in memory.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        ends.setdefault(place, []).extend((bar.get_x(), bar.get_x() + bar.get_width()))
    assert ends[1] == pytest.approx([0, 0.1, 0.1, 0.5, 0.5, 1.0]), "weights, what is left, what was saved"
    assert ends[3] == pytest.approx([0, 0.1, 0.1, 0.25, 0.25, 0.3]), "weights, what was there, what was added"
